/** A token bucket per combination of what it counts by: the meaning of `limits`, with every default filled in. */

/** What has a bucket of its own. `header:NAME` is the fourth kind, with the name in lower case. */
export const LIMIT_DIMENSIONS = ["client", "address", "user", "route", "unit", "tenant"] as const;
export type LimitDimension = (typeof LIMIT_DIMENSIONS)[number] | `header:${string}`;

export const LIMIT_SCOPES = ["gateway", "fleet"] as const;
export type LimitScope = (typeof LIMIT_SCOPES)[number];

export const LIMIT_MODES = ["enforce", "dry-run"] as const;
export type LimitMode = (typeof LIMIT_MODES)[number];

export interface Limit {
  readonly name: string;
  /** Tokens per second. */
  readonly rate: number;
  /** Tokens that a bucket holds. */
  readonly burst: number;
  /** Empty: one bucket for all. */
  readonly by: readonly LimitDimension[];
  readonly scope: LimitScope;
  /** `dry-run` counts and logs what it would refuse, and lets it through. */
  readonly mode: LimitMode;
  /** Buckets that one gateway remembers at once; what that costs is in docs/limits.md. */
  readonly keys: number;
}

/** Fleet limits are leased ahead of need: their buckets hold at least this many seconds of their rate. */
export const FLEET_BURST_SECONDS = 0.25;
