/** `tidegate rollout`: a canary through the units, begun, watched, held, pushed on and taken back. */
import { Option, type Command } from "commander";
import type { ShownRollout, UnitView } from "../control-plane/rollouts/view.ts";
import type { Comparison } from "../model/analysis/comparison.ts";
import { promoted } from "../model/rollout/promotion.ts";
import { type ApiClient, ApiFailure, type ApiOptions, type Printer, runApi, withApi } from "./api-client.ts";
import { filesOf } from "./configuration.ts";
import {
  coloured,
  type Execution,
  executionText,
  flat,
  followed,
  type Given,
  withWait,
} from "./executions.ts";
import { allPages } from "./pages.ts";
import { paint, span, table } from "./tables.ts";

interface View {
  readonly now: number;
  readonly execution: Execution;
  readonly units: readonly UnitView[];
}

/** How often (ms) a watch looks. */
const LOOK = 1_000;
const ENDED = new Set(["succeeded", "aborted", "reverted", "held"]);

export function registerRollouts(program: Command): void {
  const rollout = program
    .command("rollout")
    .description("gray rollouts: a canary through the units, on evidence");
  withApi(rollout.command("list"))
    .description("rollouts, and whether each fits the fleet as it is now")
    .action((options: ApiOptions) =>
      runApi(options, async (api, print) => {
        const { items, answer } = await allPages<ShownRollout>(api, "/v1/rollouts", "rollouts");
        print.say(answer, () => listText(items));
      }),
    );
  withWait(rollout.command("start"))
    .description("begin a rollout")
    .argument("<name>", "the rollout")
    .option("--watch", "its units, live, until it has ended or needs somebody")
    .option("--files <dir>", "where it brings routes: the configuration that has them")
    .addHelpText(
      "after",
      "\nExamples:\n  tidegate rollout start hall --reason 'hall 2.4' --watch\n" +
        "  tidegate rollout start routes --files configs/next --reason 'shorter timeouts'",
    )
    .action((name: string, options: Given & { watch?: boolean; files?: string }) =>
      runApi(options, async (api, print) => {
        const { reason, files: dir } = options;
        const files = dir === undefined ? undefined : filesOf(dir);
        const made = await api.call<Execution>("POST", `/v1/rollouts/${encodeURIComponent(name)}/start`, {
          reason,
          files,
        });
        if (options.watch === true) await watch(api, print, name);
        else await followed(api, print, made, options);
      }),
    );
  withApi(rollout.command("status"))
    .description("the newest execution of a rollout: its units, and the canary against stable in each")
    .argument("<name>", "the rollout")
    .option("--watch", "live, until it has ended or needs somebody")
    .option("--steps", "every step of it")
    .action((name: string, options: ApiOptions & { watch?: boolean; steps?: boolean }) =>
      runApi(options, async (api, print) => {
        if (options.watch === true) return await watch(api, print, name);
        const view = await viewOf(api, name);
        print.say(view, () => (options.steps === true ? executionText(view.execution) : viewText(view)));
      }),
    );
  withApi(rollout.command("promotion"))
    .description("fleet.yaml with the canary as stable, for your repository")
    .argument("<name>", "the rollout")
    .action((name: string, options: ApiOptions) =>
      runApi(options, async (api, print) => {
        const { execution } = await viewOf(api, name);
        const { files } = await api.call<{ files: Record<string, string> }>("GET", "/v1/config");
        const text = fleetOf(execution, files["fleet.yaml"] ?? "");
        print.say({ file: "fleet.yaml", text }, () => text.trimEnd());
      }),
    );
  for (const [command, action, description] of [
    ["pause", "pause", "hold every unit at its share"],
    ["resume", "resume", "go on; what failed is tried again"],
    ["promote", "skip", "go on without waiting for the bake or the approval under way"],
    ["skip", "skip", "leave a unit out that has not begun, or a step"],
    ["approve", "approve", "agree to what waits for somebody"],
    ["abort", "revert", "give every unit's users back to stable"],
  ] as const) {
    const made = withWait(rollout.command(command))
      .description(description)
      .argument("<name>", "the rollout");
    if (action === "skip") made.addOption(new Option("--unit <unit>", "one of the units that are under way"));
    if (command === "skip") made.option("--step <path>", "such as 2.3");
    made.action((name: string, options: Given & { unit?: string; step?: string }) =>
      runApi(options, async (api, print) => {
        const { execution } = await viewOf(api, name);
        const { reason } = options;
        const step =
          command === "promote"
            ? waitingStep(execution, options.unit)
            : command === "skip"
              ? (options.step ?? turnOf(execution, options.unit))
              : undefined;
        const digest = action === "approve" ? execution.digest : undefined;
        const path = `/v1/executions/${execution.id}/${action}`;
        const after = await api.call<Execution>("POST", path, { reason, step, digest });
        await followed(api, print, after, options);
      }),
    );
  }
}

/** As the base says it, or as it will when the rollout is done. @throws ApiFailure */
function fleetOf({ steps, runs }: Execution, text: string): string {
  const step = flat(steps).find(({ kind }) => kind === "promote");
  if (step === undefined) throw new ApiFailure("this rollout promotes nothing: `promote: false`");
  if (runs[step.path]?.state === "done") return text;
  if (step.service === undefined) throw new ApiFailure("this rollout brings routes; --files DIR has them");
  const { service = "", units = [] } = step;
  const next = promoted(text, service, units);
  if ("problem" in next) throw new ApiFailure(next.problem);
  return next.text;
}

/** What is baking, or waits for somebody. @throws ApiFailure when it is none, or several */
function waitingStep({ id, steps, runs }: Execution, unit: string | undefined): string {
  const turn = unit === undefined ? "" : `${turnOf({ id, steps, runs } as Execution, unit)}.`;
  const waiting = flat(steps).filter(
    ({ path, kind }) =>
      path.startsWith(turn) && runs[path]?.state === "running" && (kind === "bake" || kind === "approve"),
  );
  if (waiting.length === 1) return waiting[0]!.path;
  const which = waiting.map(({ path, title }) => `${path} (${title})`).join(", ");
  throw new ApiFailure(
    waiting.length === 0
      ? `nothing of ${id} is baking or waits for somebody`
      : `say which with --unit: ${which}`,
  );
}

/** @throws ApiFailure */
function turnOf({ id, steps }: Execution, unit: string | undefined): string {
  if (unit === undefined) throw new ApiFailure("say what is left out: --unit sh, or --step 2.3");
  const turn = flat(steps).find(({ kind, title }) => kind === "sequence" && title === unit);
  if (turn === undefined) throw new ApiFailure(`${id} does not come to unit ${unit}`);
  return turn.path;
}

function viewOf(api: ApiClient, name: string): Promise<View> {
  return api.call<View>("GET", `/v1/rollouts/${encodeURIComponent(name)}`);
}

/** Repaints at a terminal; elsewhere one line for each change. */
async function watch(api: ApiClient, print: Printer, name: string): Promise<void> {
  let lines = 0;
  for (let said = ""; ; ) {
    const view = await viewOf(api, name);
    const isOver = ENDED.has(view.execution.state);
    if (process.stdout.isTTY) {
      const text = viewText(view);
      if (lines > 0) process.stdout.write(`\u001b[${lines}A\u001b[0J`);
      lines = text.split("\n").length;
      process.stdout.write(`${text}\n`);
    } else {
      const text = view.units.map((one) => `${one.unit} ${one.state} ${percent(one.share)}`).join(", ");
      if (text !== said) print.line(view, `${view.execution.state}: ${text}`);
      said = text;
    }
    if (!isOver) {
      await new Promise((resolve) => setTimeout(resolve, LOOK));
      continue;
    }
    const { state, says, id } = view.execution;
    if (state !== "succeeded")
      throw new ApiFailure(`${id} is ${state}${says === undefined ? "" : `: ${says}`}`);
    return;
  }
}

function listText(rollouts: readonly ShownRollout[]): string {
  if (rollouts.length === 0) return "no rollouts; write one in rollouts/NAME.yaml of the configuration";
  return table(
    ["rollout", "rolls out", "fits", "waves", "steps", "what it brings"],
    rollouts.map(({ name, service, fits, problems, waves, steps, summary }) => [
      name,
      service ?? "routes",
      fits ? paint("green", "yes") : paint("red", `no: ${problems[0]}`),
      waves.map((wave) => (typeof wave === "string" ? wave : wave.join(", "))).join(" → "),
      steps.map(({ share, bake }) => `${percent(share)} for ${span(bake)}`).join(" → "),
      summary,
    ]),
  );
}

function viewText({ execution, units }: View): string {
  const { id, plan, state, says } = execution;
  const head = `${paint("bold", plan.name)} ${id}: ${coloured(state)}${says === undefined ? "" : `: ${says}`}`;
  const rows = units.map(({ wave, unit, state: own, share, step, assessment, left }) => [
    `${wave}`,
    unit,
    own === "done" ? paint("green", own) : own === "failed" ? paint("red", own) : own,
    `${bar(share)} ${percent(share)}`,
    assessment === null ? "" : against(assessment.errors, percent),
    assessment === null ? "" : against(assessment.latency, milliseconds),
    left === null ? (step ?? "") : bakes(left),
  ]);
  const reasons = units.flatMap(({ unit, assessment, says: own, state: now1 }) =>
    now1 === "under way" || now1 === "failed" ? [`${unit}: ${assessment?.reason ?? own ?? ""}`] : [],
  );
  return [
    head,
    table(
      ["wave", "unit", "state", "canary", "failed: canary / stable", "p99: canary / stable", "next"],
      rows,
    ),
    ...reasons,
  ].join("\n");
}

function against({ canary, stable, low, high }: Comparison, show: (n: number) => string): string {
  if (canary === null && stable === null) return "no data";
  const of = (value: number | null): string => (value === null ? "–" : show(value));
  const band =
    low === null || high === null ? "" : paint("dim", ` [${low.toPrecision(2)}, ${high.toPrecision(2)}]`);
  return `${of(canary)} / ${of(stable)}${band}`;
}

function bakes(rest: number): string {
  return rest > 0 ? `bakes ${span(rest)} more` : "waits for evidence";
}

function bar(share: number): string {
  const full = Math.round(share * 10);
  return "█".repeat(full) + "░".repeat(10 - full);
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(3))} %`;
}

/** @param seconds as analyses count */
function milliseconds(seconds: number): string {
  return `${Number((seconds * 1000).toPrecision(3))} ms`;
}
