/**
 * The audit log's chain: each entry's hash covers the one before it, so that no entry can be changed, taken out or put
 * in between without all that follow.
 */
import { createHash } from "node:crypto";
import { type AuditEntry, type AuditLine, storable } from "./store.ts";

/** What the first entry follows. */
export const CHAIN_START = "0".repeat(64);

/** @param previous hash of the entry before */
export function chained(previous: string, number: number, line: AuditLine): AuditEntry {
  const { at } = line;
  // As it will be read back: else a reason with half a character in it would break the chain for good.
  const actor = storable(line.actor);
  const from = storable(line.from);
  const action = storable(line.action);
  const target = storable(line.target);
  const reason = storable(line.reason);
  const before = storable(line.before);
  const after = storable(line.after);
  // A list of strings has one form as JSON, whoever writes it.
  const text = JSON.stringify([
    previous,
    `${number}`,
    `${at}`,
    actor,
    from,
    action,
    target,
    reason,
    before,
    after,
  ]);
  const hash = createHash("sha256").update(text).digest("hex");
  return { number, at, actor, from, action, target, reason, before, after, hash };
}

export interface BrokenChain {
  /** The first entry that is not what was written. */
  readonly number: number;
  readonly because: string;
}

/** Checks entries as they come, oldest first. */
export class ChainCheck {
  #previous = CHAIN_START;
  #number = 0;

  /** How many entries were whole, and the hash of the last. */
  get checked(): { readonly entries: number; readonly hash: string } {
    return { entries: this.#number, hash: this.#previous };
  }

  /** @returns undefined while the chain is whole */
  see(entry: AuditEntry): BrokenChain | undefined {
    const number = this.#number + 1;
    if (entry.number !== number) {
      return { number, because: `entry ${number} is missing; ${entry.number} follows ${this.#number}` };
    }
    if (chained(this.#previous, number, entry).hash !== entry.hash) {
      return { number, because: `entry ${number} is not what was written, or the one before it is not` };
    }
    this.#number = number;
    this.#previous = entry.hash;
    return undefined;
  }
}
