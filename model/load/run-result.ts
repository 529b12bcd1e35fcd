/** What came of a run, as it is written to JSON, shown at the terminal and drawn as a page. */

export interface Latencies {
  /** Milliseconds; 0 where nothing was answered. */
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

export interface SlotResult extends Latencies {
  /** Seconds since the beginning. */
  readonly from: number;
  readonly to: number;
  readonly asked: number;
  /** Share of answers below 400; null where nobody was asked. */
  readonly success: number | null;
}

export interface UnitResult extends Latencies {
  readonly unit: string;
  readonly asked: number;
  readonly success: number | null;
}

/** What had to hold. */
export interface RuleResult {
  readonly metric: string;
  readonly rule: string;
  readonly holds: boolean;
}

export interface RunResult extends Latencies {
  readonly scenario: string;
  readonly title: string;
  readonly seconds: number;
  /** Requests per second that were meant to be made at the most. */
  readonly rate: number;
  readonly asked: number;
  /** Requests that no connection was free for: the generator, not the fleet, was too slow. */
  readonly dropped: number;
  readonly success: number | null;
  /** Status → answers; `0`: none came. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly units: readonly UnitResult[];
  readonly slots: readonly SlotResult[];
  readonly rules: readonly RuleResult[];
  readonly passed: boolean;
}

/** For people: a few lines. */
export function resultText(result: RunResult): string {
  const { scenario, title, asked, seconds, success, p50, p95, p99, max, dropped, passed } = result;
  const lines = [
    `${scenario}: ${title}`,
    `  ${asked} requests in ${seconds.toFixed(1)} s (${(asked / Math.max(seconds, 0.001)).toFixed(1)}/s), ${percent(success)} answered well`,
    `  p50 ${ms(p50)}  p95 ${ms(p95)}  p99 ${ms(p99)}  slowest ${ms(max)}`,
    `  answers: ${answersText(result)}`,
    ...result.units.map(
      (unit) =>
        `  ${unit.unit}: ${unit.asked} requests, ${percent(unit.success)} answered well, p99 ${ms(unit.p99)}`,
    ),
    ...(dropped > 0
      ? [
          `  ${dropped} requests were not made: no connection was free; the generator was too slow, or the answers`,
        ]
      : []),
    ...result.rules.map(({ metric, rule, holds }) => `  ${holds ? "holds" : "MISSED"}  ${metric} ${rule}`),
    `  ${passed ? "passed" : "failed"}`,
  ];
  return lines.join("\n");
}

export function answersText({ statuses }: RunResult): string {
  const found = Object.entries(statuses).filter(([, n]) => n > 0);
  if (found.length === 0) return "none";
  return found.map(([status, n]) => `${n} × ${status === "0" ? "no answer" : status}`).join(", ");
}

export function percent(share: number | null): string {
  return share === null ? "–" : `${Number((share * 100).toFixed(3))} %`;
}

export function ms(milliseconds: number): string {
  return `${milliseconds >= 100 ? milliseconds.toFixed(0) : milliseconds.toFixed(1)} ms`;
}
