/** What is known of a step so far. Plain JSON: kept durably, and gone on with by whoever has it. */
import type { Latencies } from "../latency-histogram.ts";
import type { Tally } from "./comparison.ts";
import type { Harm } from "./harm.ts";
import type { MetricState } from "./metric.ts";
import type { Sample } from "./sample.ts";
import type { PastState } from "./past.ts";
import type { QuantilesState } from "./sequential-quantiles.ts";
import type { RatesState } from "./sequential-rates.ts";
import type { AnalysisSettings, MetricRule } from "./settings.ts";

export interface AnalysisState {
  readonly settings: AnalysisSettings;
  /** Of the unit before the step, as far as it is known. */
  readonly past: Sample | null;
  readonly begunAt: number;
  /** End of the last window with figures. */
  readonly at: number;
  readonly windows: number;
  /** Windows with requests of the canary, and those without since the last of them. */
  readonly seen: number;
  readonly missing: number;
  /** Whether it is compared with the unit's past, for want of stable traffic. */
  readonly isPast: boolean;
  readonly canary: Tally;
  readonly stable: Tally;
  /** The older the less. */
  readonly recent: { readonly canary: Tally; readonly stable: Tally };
  readonly canaryLatency: Latencies;
  readonly stableLatency: Latencies;
  readonly rates: RatesState;
  readonly quantiles: QuantilesState;
  readonly againstPast: PastState;
  readonly rules: Readonly<Record<string, MetricRule>>;
  readonly metrics: Readonly<Record<string, MetricState>>;
  readonly alphaOfMetrics: number;
  /** Once it is proved it stays so: evidence that was enough at any moment is enough. */
  readonly harm: Harm | null;
}
