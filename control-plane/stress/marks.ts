/** Where a run ends: its marks count no longer, at every gateway, from the next snapshot on. */
import { LONGEST_MARK } from "../../model/stress-mark.ts";
import type { Desk } from "../desk.ts";
import type { Actor } from "../draft.ts";
import type { PutDocument } from "../store/store.ts";

/** Clocks of gateways may be behind (ms). */
const CLOCKS = 300_000;

export interface Ended {
  readonly run: string;
  /** For people. */
  readonly owner: string;
  readonly reason: string;
  /** Milliseconds in which marks of it may hold still; undefined: nobody knows, and as long as any mark. */
  readonly left: number | undefined;
  /** Written with it, once. */
  readonly puts: readonly PutDocument[];
  /** Leadership to write under where nothing is laid. */
  readonly epoch: () => Promise<number | undefined>;
}

/** What is laid already is not laid twice. @throws Refused */
export async function endMarks(desk: Desk, ended: Ended, actor: Actor): Promise<void> {
  const { run, owner, reason, left = LONGEST_MARK, puts } = ended;
  if (desk.standing?.config.gateway.stress?.stopped?.includes(run) === true) {
    const epoch = await ended.epoch();
    await desk.write({ ...(epoch === undefined ? {} : { epoch }), puts });
    return;
  }
  const change = { kind: "stress-stop", run } as const;
  const lay = { change, reason, expiresIn: Math.max(1_000, left) + CLOCKS, supersedes: undefined };
  await desk.change({ lay: [lay], remove: [] }, owner, reason, actor, () => puts);
}
