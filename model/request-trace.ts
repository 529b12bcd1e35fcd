/** One failed or slow request, as a gateway's ring keeps it: what happened, never its body. */

export interface RequestTrace {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits: the gateway's own span of this request. */
  readonly spanId: string;
  /** Milliseconds since 1970, at its start. */
  readonly at: number;
  readonly gateway: string;
  readonly revision: number;
  readonly kind: "failed" | "slow";
  readonly route: string;
  /** That answered, or was tried last; "" when none was. */
  readonly unit: string;
  /** The unit that owns the key; "" without a key. */
  readonly home: string;
  /** -1 without a key. */
  readonly slot: number;
  readonly version: string;
  /** Why this unit, in the words of `explain`. */
  readonly reason: string;
  /** What made it leave the first candidate; "" when nothing did. */
  readonly failover: string;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** That the client was given; 0 when none. */
  readonly status: number;
  /** The type of the gateway's own answer; "" when a unit answered. */
  readonly problem: string;
  /** Milliseconds. */
  readonly duration: number;
  /** Milliseconds before its first attempt: it was held, its body came, or it queued. */
  readonly waited: number;
  readonly attempts: readonly TracedAttempt[];
  /** Of the request: secrets redacted, values cut. */
  readonly headers: Readonly<Record<string, string>>;
  /** The run of a stress mark; "" for users. */
  readonly stress: string;
}

export interface TracedAttempt {
  readonly unit: string;
  readonly endpoint: string;
  readonly version: string;
  /** Milliseconds after `at`. */
  readonly start: number;
  /** Milliseconds after `at` when the head of the answer came; -1 when none came. */
  readonly headers: number;
  /** Milliseconds after `at`. */
  readonly end: number;
  /** 0 when none came. */
  readonly status: number;
  /** What went wrong; "" when nothing did. */
  readonly error: string;
  readonly spanId: string;
}

/** Of one report. */
export const MOST_TRACES = 50;
/** Of one report's traces as JSON. */
export const MOST_TRACE_BYTES = 65_536;
