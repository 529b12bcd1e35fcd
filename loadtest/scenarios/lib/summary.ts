/** What k6 counted → a result, and where it goes. */
import { reportPage } from "../../../model/load/report-page.ts";
import type { RunFile } from "../../../model/load/run-file.ts";
import {
  type Latencies,
  resultText,
  type RuleResult,
  type RunResult,
  type SlotResult,
} from "../../../model/load/run-result.ts";

/** As k6 hands it over. */
export interface Summary {
  readonly state: { readonly testRunDurationMs: number };
  readonly metrics: Readonly<
    Record<
      string,
      {
        readonly values: Readonly<Record<string, number>>;
        readonly thresholds?: Readonly<Record<string, { readonly ok: boolean }>>;
      }
    >
  >;
}

const PER_STATUS = /^tidegate_answers\{status:(\d+)\}$/;

/** @param judge what has to hold of the whole, which no single figure says */
export function resultOf(
  run: RunFile,
  { metrics, state }: Summary,
  judge: (slots: readonly SlotResult[]) => readonly RuleResult[] = () => [],
): RunResult {
  const value = (name: string, of: string): number => metrics[name]?.values[of] ?? 0;
  const latencies = (tag: string): Latencies => {
    const of = (stat: string): number => value(`tidegate_took${tag}`, stat);
    return { p50: of("p(50)"), p95: of("p(95)"), p99: of("p(99)"), max: of("max") };
  };
  const of = (tag: string): Latencies & { asked: number; success: number | null } => {
    const asked = value(`tidegate_asked${tag}`, "count");
    return { asked, success: asked === 0 ? null : value(`tidegate_ok${tag}`, "rate"), ...latencies(tag) };
  };
  const length = (run.seconds - (run.settle ?? 0)) / run.slots;
  const units = [...new Set(run.targets.map((target) => target.unit))];
  const statuses: Record<string, number> = {};
  for (const [name, { values }] of Object.entries(metrics)) {
    const status = PER_STATUS.exec(name)?.[1];
    if (status !== undefined && (values.count ?? 0) > 0) statuses[status] = values.count!;
  }
  const slots = Array.from({ length: run.slots }, (_, slot) => ({
    from: slot * length,
    to: (slot + 1) * length,
    ...of(`{slot:${slot}}`),
  }));
  const rules: RuleResult[] = Object.entries(metrics).flatMap(([metric, { thresholds = {} }]) =>
    Object.entries(thresholds).map(([rule, { ok }]) => ({ metric, rule, holds: ok })),
  );
  rules.push(...judge(slots));
  return {
    scenario: run.scenario,
    title: run.title,
    rate: run.rate,
    seconds: state.testRunDurationMs / 1_000,
    ...of(""),
    dropped: value("dropped_iterations", "count"),
    statuses,
    units: units.map((unit) => ({ unit, ...of(`{unit:${unit}}`) })),
    slots,
    rules: rules.sort((a, b) => (a.metric < b.metric ? -1 : 1)),
    passed: rules.every(({ holds }) => holds),
  };
}

export function summaryFiles({ json, html }: RunFile, result: RunResult): Record<string, string> {
  return {
    stdout: `${resultText(result)}\n`,
    ...(json === undefined ? {} : { [json]: `${JSON.stringify(result, null, 2)}\n` }),
    ...(html === undefined ? {} : { [html]: reportPage(result) }),
  };
}
