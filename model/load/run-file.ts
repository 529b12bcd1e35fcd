/** What a load generator is told of one run: whom it asks, for what, how fast and for how long. Plain data, as a file. */
import type { KeySource } from "../fleet.ts";

/** Where a share of the requests goes. */
export interface Target {
  /** Whose requests they are: the stressed unit, or the home unit of its users. */
  readonly unit: string;
  /** Of all requests; the shares need not sum to 1. */
  readonly share: number;
  /** Gateways, asked in turn. */
  readonly urls: readonly string[];
  /** Sent with each, such as the stress mark. */
  readonly headers: Readonly<Record<string, string>>;
  /** Users, the most frequent first. Empty: none is named. */
  readonly keys: readonly string[];
  /** Each user's share of the requests; undefined: `skew` says it. */
  readonly weights?: readonly number[];
  /** Exponent of Zipf's law over the users in their order; 0 asks for each as often. */
  readonly skew: number;
}

/** One kind of request. `{n}` in its path is another number each time, `{key}` its user. */
export interface Ask {
  /** Its route, as far as it is known. */
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly share: number;
  /** Of the virtual host; undefined: the gateway's own name. */
  readonly host?: string;
  readonly body?: string;
}

/** A moment of a curve. */
export interface Moment {
  /** Seconds since the beginning. */
  readonly at: number;
  /** Requests per second. */
  readonly rate: number;
}

export interface RunFile {
  readonly scenario: string;
  /** For people. */
  readonly title: string;
  readonly targets: readonly Target[];
  readonly mix: readonly Ask[];
  /** Where a user is named. */
  readonly key: Pick<KeySource, "from" | "name">;
  /** Requests per second at the most. */
  readonly rate: number;
  readonly seconds: number;
  /** Of them, those at the beginning that are not counted. */
  readonly settle?: number;
  /** In the place of the scenario's own shape, by time. */
  readonly curve?: readonly Moment[];
  /** An answer that takes longer (ms) is none. */
  readonly timeout: number;
  /** What has to hold: share of answers below 400, and milliseconds. Undefined: whatever it is. */
  readonly bounds: { readonly success?: number; readonly p99?: number };
  /** Stretches of time that are told apart in the result. */
  readonly slots: number;
  /** Virtual users: connections that are there at the beginning, and at the most. */
  readonly connections: { readonly first: number; readonly most: number };
  /** Where the results are written; undefined: nowhere. */
  readonly json?: string;
  readonly html?: string;
}

/** The variable by which a scenario is told where its run file lies. */
export const RUN_VARIABLE = "TIDEGATE_RUN";

/**
 * Connections for an open loop: enough that nobody waits for one while the unit answers within what is usual, and no more
 * than a generator bears. What finds none is counted as dropped.
 *
 * @param rate requests per second · @param timeout milliseconds
 */
export function connectionsFor(rate: number, timeout: number): RunFile["connections"] {
  const most = Math.min(MOST_CONNECTIONS, Math.max(20, Math.ceil((rate * timeout) / 1_000)));
  return { first: Math.min(most, Math.max(10, Math.ceil(rate / 5))), most };
}

const MOST_CONNECTIONS = 3_000;
