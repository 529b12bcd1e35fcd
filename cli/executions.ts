/** An execution at the terminal: followed until it ends or needs somebody, and shown step by step. */
import type { Command } from "commander";
import { type ApiClient, ApiFailure, type ApiOptions, type Printer, withApi } from "./api-client.ts";
import { moment, paint, span, table } from "./tables.ts";

export interface Step {
  readonly path: string;
  readonly title: string;
  readonly kind: string;
  readonly service?: string;
  readonly units?: readonly string[];
  readonly steps?: readonly Step[];
  readonly yes?: readonly Step[];
  readonly no?: readonly Step[];
}

interface StepRun {
  readonly state: string;
  readonly since: number;
  readonly until?: number;
  readonly says?: string;
}

export interface Execution {
  readonly id: string;
  readonly plan: { readonly name: string };
  readonly digest: string;
  readonly state: string;
  readonly says?: string;
  readonly reason: string;
  readonly owner: { readonly name: string };
  readonly at: number;
  readonly endedAt?: number;
  readonly steps: readonly Step[];
  readonly runs: Readonly<Record<string, StepRun>>;
}

export type Given = ApiOptions & {
  readonly reason: string;
  readonly wait?: boolean;
  readonly timeout: string;
};

/** How often (ms) a wait looks. */
const POLL = 250;
const ENDED = new Set(["succeeded", "aborted", "reverted", "held"]);

export function withWait(command: Command): Command {
  return withApi(command)
    .requiredOption("--reason <text>", "why; the audit log keeps it")
    .option("--wait", "until it has ended or needs somebody")
    .option("--timeout <seconds>", "how long to wait, in seconds", "600");
}

export async function followed(
  api: ApiClient,
  print: Printer,
  execution: Execution,
  options: Given,
): Promise<void> {
  const now =
    options.wait === true
      ? await watched(api, print, execution, ENDED, Number(options.timeout) * 1000)
      : execution;
  print.say(now, () => executionText(now));
  if (options.wait !== true) return;
  const wanted = new Set(["succeeded", "reverted", "aborted"]);
  if (!wanted.has(now.state))
    throw new ApiFailure(`${now.id} is ${now.state}${now.says === undefined ? "" : `: ${now.says}`}`);
}

/** Looks until it is in one of these states, for so long (ms) at most. */
export async function watched(
  api: ApiClient,
  print: Printer,
  execution: Execution,
  states: ReadonlySet<string>,
  timeout: number,
): Promise<Execution> {
  const until = performance.now() + timeout;
  let now = execution;
  let said = "";
  while (!states.has(now.state) && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, POLL));
    now = await api.call<Execution>("GET", `/v1/executions/${execution.id}`);
    const line = progressOf(now);
    if (line !== said) print.progress(line);
    said = line;
  }
  return now;
}

export function progressOf({ id, state, steps, runs }: Execution): string {
  const running = flat(steps).filter(({ path }) => runs[path]?.state === "running");
  const says = running.map(({ path, title }) => `${path} ${title}${says1(runs[path]?.says)}`);
  return `${id} ${state}${says.length === 0 ? "" : `: ${says.join("; ")}`}`;
}

const says1 = (says: string | undefined): string => (says === undefined ? "" : ` (${says})`);

export function flat(steps: readonly Step[]): Step[] {
  return steps.flatMap((step) => [
    step,
    ...flat(step.steps ?? []),
    ...flat(step.yes ?? []),
    ...flat(step.no ?? []),
  ]);
}

export function executionText({
  id,
  plan,
  state,
  says,
  owner,
  at,
  endedAt,
  reason,
  steps,
  runs,
}: Execution): string {
  const head = `${paint("bold", id)} ${plan.name}: ${coloured(state)}${says1(says)}, by ${owner.name} at ${moment(at)}: ${reason}`;
  const rows = flat(steps).map(({ path, title }) => {
    const run = runs[path];
    const took = run?.until === undefined ? "" : span(run.until - run.since);
    return [path, title, coloured(run?.state ?? "to come"), took, run?.says ?? ""];
  });
  const end = endedAt === undefined ? [] : [`took ${((endedAt - at) / 1000).toFixed(1)} s`];
  return [head, table(["step", "what", "state", "took", "says"], rows), ...end].join("\n");
}

export function coloured(state: string): string {
  if (["succeeded", "reverted", "done"].includes(state)) return paint("green", state);
  if (["held", "failed", "aborted"].includes(state)) return paint("red", state);
  return state === "to come" ? paint("dim", state) : paint("yellow", state);
}
