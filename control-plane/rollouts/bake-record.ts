/** What is stored of a bake, so that it goes on after a crash with what was seen before. */
import type { AnalysisState, Assessment } from "../../model/analysis/verdict.ts";

export interface BakeRecord {
  readonly state: AnalysisState;
  readonly assessment: Assessment;
  /** Milliseconds that were looked at. */
  readonly at: number;
}
