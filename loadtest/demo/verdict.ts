/** Whether a run went as it should: used by `--seconds`. Pure. */

import type { Action } from "./flags.ts";
import type { Failure } from "./traffic.ts";

export interface Deed {
  readonly action: Action;
  readonly target: string;
  /** Milliseconds, by the clock of the failures. */
  readonly at: number;
}

export interface Run {
  /** Unit → requests that it served. */
  readonly served: ReadonlyMap<string, number>;
  readonly failures: readonly Failure[];
  readonly refusedWrites: readonly Failure[];
  /** What was done to units and endpoints, in order. */
  readonly deeds: readonly Deed[];
}

/** A request may have been under way when the deed was done. */
const BEFORE_MS = 3000;
/** For the gateway to find out that a revived unit is healthy. */
const AFTER_MS = 8000;

/** For a bad canary to be found out: its users feel it so long. */
const CANARY_MS = 60_000;

/** What went wrong, a sentence each; empty when all was well. Reads never fail; writes may while something is down. */
export function complaints({ served, failures, refusedWrites, deeds }: Run): readonly string[] {
  const found: string[] = [];
  for (const [unit, total] of served) if (total === 0) found.push(`Unit ${unit} served nothing.`);
  const canaries = deeds.flatMap(({ action, target, at }) =>
    action === "release" && target === "bad" ? [[at, at + CANARY_MS] as const] : [],
  );
  const failed = failures.filter(({ at }) => !canaries.some(([from, to]) => at >= from && at <= to));
  if (failed.length > 0) found.push(`${failed.length} requests failed: ${examples(failed)}.`);
  const troubles = troublesOf(deeds);
  const excused = ({ at }: Failure) => troubles.some(([from, to]) => at >= from && at <= to);
  const surprising = refusedWrites.filter((failure) => !excused(failure));
  if (surprising.length > 0) {
    found.push(`${surprising.length} writes were refused while all units were up: ${examples(surprising)}.`);
  }
  return found;
}

/** From each kill or hang to the revival or resumption of the same target, with room on both sides. */
function troublesOf(deeds: readonly Deed[]): readonly (readonly [from: number, to: number])[] {
  return deeds.flatMap((deed, index) => {
    if (deed.action !== "kill" && deed.action !== "hang") return [];
    const end = deeds
      .slice(index + 1)
      .find(({ action, target }) => target === deed.target && (action === "revive" || action === "resume"));
    return [[deed.at - BEFORE_MS, end === undefined ? Number.POSITIVE_INFINITY : end.at + AFTER_MS] as const];
  });
}

function examples(failures: readonly Failure[]): string {
  const kinds = new Map<string, number>();
  for (const { method, path, what } of failures) {
    const kind = `${method} ${path.replace(/\d+$/, "N")} ${what}`;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  return [...kinds].map(([kind, n]) => `${kind} (${n})`).join(", ");
}
