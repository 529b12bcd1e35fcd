/** `tidegate errors` and `tidegate trace`: failed and slow requests of the fleet, and one of them from end to end. */
import { type Command, Option } from "commander";
import type { RequestTrace, TracedAttempt } from "../model/request-trace.ts";
import { type ApiOptions, ApiFailure, runApi, withApi } from "./api-client.ts";
import { clean, moment, paint, table } from "./tables.ts";

interface ErrorsOptions extends ApiOptions {
  readonly unit?: string;
  readonly route?: string;
  readonly kind?: string;
  readonly since: string;
}

/** Columns of a waterfall's bars. */
const WIDTH = 40;

export function registerErrors(program: Command): void {
  withApi(program.command("errors"))
    .description("failed requests and the slowest, the newest first")
    .option("--unit <name>", "only of this unit")
    .option("--route <name>", "only of this route")
    .addOption(new Option("--kind <kind>", "only these").choices(["failed", "slow"]))
    .option("--since <time>", "how far back (10m), or since when", "10m")
    .addHelpText(
      "after",
      "\n  tidegate errors --unit sh --since 10m\n  tidegate trace 4bf92f3577b34da6a3ce929d0e0e4736\n",
    )
    .action((options: ErrorsOptions) =>
      runApi(options, async (api, print) => {
        const { unit, route, kind, since } = options;
        const asked = Object.entries({ unit, route, kind, since }).filter(([, value]) => value !== undefined);
        const query = new URLSearchParams(asked as [string, string][]);
        const said = await api.call<{ errors: RequestTrace[] }>("GET", `/v1/errors?${query}`);
        print.say(said, () => errorsText(said.errors, since));
      }),
    );

  withApi(program.command("trace <id>"))
    .description("one request from end to end: what was decided and why, each attempt, and how long it took")
    .action((id: string, options: ApiOptions) =>
      runApi(options, async (api, print) => {
        const trace = id.toLowerCase();
        if (!/^[0-9a-f]{32}$/.test(trace)) {
          throw new ApiFailure(`${JSON.stringify(id)} is no trace id; expected 32 hexadecimal digits`);
        }
        const said = await api.call<{ errors: RequestTrace[] }>("GET", `/v1/errors?trace=${trace}`);
        if (said.errors.length === 0) {
          throw new ApiFailure(
            `no gateway told of ${trace}: only failed and the slowest requests are kept, the newest of each route ` +
              "and unit; a collector (tidegate gateway --otlp) keeps more",
          );
        }
        print.say(said, () => said.errors.map(traceText).join("\n\n"));
      }),
    );
}

function errorsText(errors: readonly RequestTrace[], since: string): string {
  if (errors.length === 0) return `nothing failed, and nothing was slow (${since})`;
  return table(
    ["when", "", "route", "unit", "answer", "took", "attempts", "why", "trace"],
    errors.map((one) => [
      moment(one.at),
      one.kind === "failed" ? paint("red", "failed") : paint("yellow", "slow"),
      shown(one.route),
      shown(one.unit),
      answerOf(one),
      milliseconds(one.duration),
      `${one.attempts.length}`,
      cut(shown(one.failover || one.attempts.at(-1)?.error || one.reason), 40),
      one.traceId,
    ]),
  );
}

/** Pure. What one gateway knows of a request, as a waterfall. */
export function traceText(one: RequestTrace): string {
  const longest = Math.max(one.duration, ...one.attempts.map(({ end }) => end), 1);
  const keyed = one.slot < 0 ? "no key" : `slot ${one.slot}, at home in ${one.home}`;
  const rows = [
    `${paint("bold", `${one.method} ${shown(one.path)}`)} → ${answerOf(one)} after ${milliseconds(one.duration)}`,
    `  trace    ${one.traceId}, span ${one.spanId}`,
    `  at       ${moment(one.at)}, ${shown(one.gateway)}, revision ${one.revision}`,
    `  decided  route ${shown(one.route)}, unit ${shown(one.unit)}, ${one.version}; ${keyed}`,
    `  because  ${shown(one.reason)}`,
    ...(one.failover === "" ? [] : [`  failover ${paint("yellow", shown(one.failover))}`]),
    ...(one.stress === "" ? [] : [`  stress   run ${shown(one.stress)}`]),
    "",
    `  ${bar("·", 0, one.waited, longest)} ${milliseconds(one.waited).padStart(9)}  before the first attempt`,
    ...one.attempts.map((attempt) => attemptText(attempt, longest)),
    `  ${bar("=", 0, one.duration, longest)} ${milliseconds(one.duration).padStart(9)}  in all`,
    "",
    ...Object.entries(one.headers).map(
      ([name, value]) => `  ${paint("dim", `${shown(name)}:`)} ${shown(value)}`,
    ),
  ];
  return rows.join("\n");
}

function attemptText(
  { unit, endpoint, version, start, headers, end, status, error }: TracedAttempt,
  longest: number,
): string {
  const answered = headers < 0 ? end : headers;
  const waits = bar("-", start, answered, longest);
  const line = bar("#", answered, end, longest);
  const both = [...waits].map((c, i) => (c === " " ? line[i]! : c)).join("");
  const outcome =
    error === "" ? `${status}` : paint("red", `${status === 0 ? "" : `${status}, `}${shown(error)}`);
  return `  ${both} ${milliseconds(end - start).padStart(9)}  ${shown(unit)} ${shown(endpoint)} (${version}): ${outcome}`;
}

function bar(mark: string, from: number, to: number, longest: number): string {
  const at = (time: number): number => Math.round((Math.min(Math.max(time, 0), longest) / longest) * WIDTH);
  const [start, end] = [at(from), at(to)];
  const length = to > from ? Math.max(1, end - start) : 0;
  return `${" ".repeat(Math.min(start, WIDTH - length))}${mark.repeat(length)}`.padEnd(WIDTH);
}

function answerOf({ status, problem }: RequestTrace): string {
  const what = status === 0 ? "no answer" : `${status}`;
  return problem === "" ? what : `${what} ${shown(problem)}`;
}

function milliseconds(time: number): string {
  return time < 10
    ? `${time.toFixed(1)} ms`
    : time < 10_000
      ? `${Math.round(time)} ms`
      : `${(time / 1000).toFixed(1)} s`;
}

function cut(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** What clients wrote. */
function shown(text: string): string {
  return text === "" ? "-" : clean(text);
}
