/** `tidegate plan`: contingencies that were written in daylight, looked at, run, watched and taken back. */
import { Option, type Command } from "commander";
import { type ApiClient, ApiFailure, type ApiOptions, runApi, withApi } from "./api-client.ts";
import { registerDryRun } from "./dry-run.ts";
import { coloured, type Execution, executionText, followed, type Given, withWait } from "./executions.ts";
import { registerRehearsals } from "./rehearsals.ts";
import { allPages } from "./pages.ts";
import { moment, paint, span, table } from "./tables.ts";

interface Parameter {
  readonly name: string;
  readonly type: string;
  readonly summary: string;
  readonly default?: string;
  readonly allowed?: readonly string[];
}

interface Plan {
  readonly name: string;
  readonly summary: string;
  readonly owner: string;
  readonly kind: string;
  readonly parameters: readonly Parameter[];
  readonly fits: boolean;
  readonly problems: readonly string[];
  readonly rehearsed: { readonly at: number; readonly outcome: string; readonly changed: boolean } | null;
}

interface Line {
  readonly id: string;
  readonly plan: string;
  readonly reason: string;
  readonly owner: { readonly name: string };
  readonly at: number;
  readonly state: string;
  readonly says?: string;
}

export function registerPlans(program: Command): void {
  const plan = program
    .command("plan")
    .description("contingency plans: look at them, run them, take them back");
  withApi(plan.command("list"))
    .description("plans, and whether each fits the fleet as it is now")
    .action((options: ApiOptions) =>
      runApi(options, async (api, print) => {
        const { items, answer } = await allPages<Plan>(api, "/v1/plans", "plans");
        print.say(answer, () => listText(items));
      }),
    );
  withApi(plan.command("show"))
    .description("one plan: its parameters and steps")
    .argument("<name>", "the plan")
    .action((name: string, options: ApiOptions) =>
      runApi(options, async (api, print) => {
        const { items } = await allPages<Plan>(api, "/v1/plans", "plans");
        const found = items.find((one) => one.name === name);
        if (found === undefined)
          throw new ApiFailure(`there is no plan ${name}; tidegate plan list lists them`);
        print.say(found, () => planText(found));
      }),
    );
  registerDryRun(plan);
  registerRehearsals(plan);
  withRun(plan.command("run"))
    .description("run a plan")
    .argument("<name>", "the plan")
    .option("--supersede <id>", "the execution whose place it takes")
    .addHelpText(
      "after",
      "\nExample:\n  tidegate plan run evacuate-unit --set unit=sh --reason 'fire in shanghai' --wait",
    )
    .action((name: string, options: Given & { set?: Record<string, string>; supersede?: string }) =>
      runApi(options, async (api, print) => {
        const { set: values = {}, reason, supersede } = options;
        const body = {
          plan: name,
          values,
          reason,
          ...(supersede === undefined ? {} : { supersedes: supersede }),
        };
        await followed(api, print, await api.call<Execution>("POST", "/v1/executions", body), options);
      }),
    );
  withApi(plan.command("status"))
    .description("executions; or one of them, step by step")
    .argument("[id]", "such as ex-3, or a plan's name: its newest")
    .option("--markdown", "its record as the draft of a post-mortem")
    .action((id: string | undefined, options: ApiOptions & { markdown?: boolean }) =>
      runApi(options, async (api, print) => {
        if (id === undefined) {
          const lines = await executions(api);
          print.say({ executions: lines }, () => executionsText(lines));
          return;
        }
        const found = await idOf(api, id);
        if (options.markdown === true) {
          const { markdown } = await api.call<{ markdown: string }>(
            "GET",
            `/v1/executions/${found}/post-mortem`,
          );
          print.say({ markdown }, () => markdown);
          return;
        }
        const execution = await api.call<Execution>("GET", `/v1/executions/${found}`);
        print.say(execution, () => executionText(execution));
      }),
    );
  for (const [action, description] of [
    ["pause", "begin no new step"],
    ["resume", "go on; what failed is tried again"],
    ["skip", "leave out the step that failed, or --step"],
    ["abort", "stop; what it laid stays"],
    ["revert", "take back what it laid, and prove it"],
    ["approve", "agree to what somebody else runs"],
  ] as const) {
    const made = withWait(plan.command(action))
      .description(description)
      .argument("<id>", "such as ex-3, or a plan's name: its newest");
    if (action === "resume") {
      made.addOption(
        new Option("--without <gateway>", "a gateway that nobody waits for any more; repeat it").argParser(
          (text: string, before: string[] | undefined) => [...(before ?? []), text],
        ),
      );
    }
    if (action === "skip") made.option("--step <path>", "such as 3");
    made.action((id: string, options: Given & { without?: string[]; step?: string }) =>
      runApi(options, async (api, print) => {
        const found = await idOf(api, id);
        const { reason, without, step } = options;
        const digest =
          action === "approve"
            ? (await api.call<Execution>("GET", `/v1/executions/${found}`)).digest
            : undefined;
        const body = { reason, without, step, digest };
        await followed(
          api,
          print,
          await api.call<Execution>("POST", `/v1/executions/${found}/${action}`, body),
          options,
        );
      }),
    );
  }
}

function withRun(command: Command): Command {
  return withValues(withWait(command));
}

export function withValues(command: Command): Command {
  return command.addOption(
    new Option("--set <name=value>", "a parameter; repeat it").argParser(
      (text: string, before: Record<string, string> | undefined) => {
        const at = text.indexOf("=");
        if (at < 1) throw new ApiFailure(`--set ${text} is no parameter; expected name=value`);
        return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
      },
    ),
  );
}

async function executions(api: ApiClient): Promise<Line[]> {
  const all: Line[] = [];
  let after = "";
  for (;;) {
    const path = `/v1/executions?limit=500${after === "" ? "" : `&after=${after}`}`;
    const page = await api.call<{ executions: Line[]; next?: string }>("GET", path);
    all.push(...page.executions);
    if (page.next === undefined) return all.sort((a, b) => b.at - a.at);
    after = page.next;
  }
}

/** @throws ApiFailure when nothing of that name ever ran */
async function idOf(api: ApiClient, name: string): Promise<string> {
  if (/^ex-\d+$/.test(name)) return name;
  const newest = (await executions(api)).find(({ plan }) => plan === name);
  if (newest === undefined)
    throw new ApiFailure(`plan ${name} never ran; tidegate plan status lists what did`);
  return newest.id;
}

function listText(plans: readonly Plan[]): string {
  if (plans.length === 0) return "no plans; write one in plans/NAME.yaml of the configuration";
  return table(
    ["plan", "fits", "rehearsed", "owner", "what it does"],
    plans.map(({ name, fits, rehearsed, owner, summary, problems }) => [
      name,
      fits ? paint("green", "yes") : paint("red", `no: ${problems[0]}`),
      rehearsedText(rehearsed),
      owner,
      summary,
    ]),
  );
}

function rehearsedText(rehearsed: Plan["rehearsed"]): string {
  if (rehearsed === null) return paint("yellow", "never");
  const { at, outcome, changed } = rehearsed;
  const ago = `${span(Date.now() - at)} ago`;
  if (outcome !== "succeeded") return paint("red", `${ago}: ${outcome}`);
  return changed ? paint("yellow", `${ago}; what it touches has changed`) : paint("green", ago);
}

function planText(plan: Plan): string {
  const parameters = plan.parameters.map(({ name, type, summary, default: own, allowed }) => [
    name,
    type + (allowed === undefined ? "" : `: ${allowed.join(", ")}`),
    own ?? paint("yellow", "has to be said"),
    summary,
  ]);
  const lines = [`${paint("bold", plan.name)}: ${plan.summary}`, `kept by ${plan.owner}`];
  if (parameters.length > 0) lines.push(table(["parameter", "type", "default", "what for"], parameters));
  if (!plan.fits) lines.push(paint("red", plan.problems.join("\n")));
  return lines.join("\n");
}

function executionsText(lines: readonly Line[]): string {
  if (lines.length === 0) return "nothing has run yet; tidegate plan run NAME --reason TEXT";
  return table(
    ["execution", "plan", "state", "by", "began", "why"],
    lines.map(({ id, plan, state, owner, at, reason }) => [
      id,
      plan,
      coloured(state),
      owner.name,
      moment(at),
      reason,
    ]),
  );
}
