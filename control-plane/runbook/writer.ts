/** How an execution is written: alone, or together with the overlays that it lays. */
import type { OverlayChanges } from "../desk.ts";
import type { OverlaySet, Standing } from "../draft.ts";
import type { Execution } from "./execution.ts";

export interface Writer {
  /** As it was written last. */
  readonly execution: Execution;
  /** What holds now. */
  readonly standing: Standing;
  /** @throws Refused */
  save(next: Execution): Promise<void>;
  /**
   * Overlays and the execution in one commit: after a crash both are there, or neither.
   *
   * @throws Refused
   */
  change(
    set: OverlaySet,
    reason: string,
    next: (made: Standing & OverlayChanges) => Execution,
  ): Promise<void>;
}
