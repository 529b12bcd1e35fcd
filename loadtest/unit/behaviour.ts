/**
 * The switches of the sample unit: how it misbehaves, and for which share of its requests.
 *
 * Shares are spread evenly and not drawn: with `share: 0.25` every fourth request is struck, so that a test can
 * count on it.
 */
import { SPREADS, type Spread } from "./workers.ts";

export const MODES = ["ok", "slow", "fail", "hang", "reset", "flap", "refuse"] as const;
export type Mode = (typeof MODES)[number];

export const HEALTH_MODES = ["ok", "fail", "always"] as const;
export type HealthMode = (typeof HEALTH_MODES)[number];

export interface Switches {
  readonly mode: Mode;
  /** slow: milliseconds before each answer. refuse: how long it lasts; 0 until it is switched off in-process. */
  readonly ms: number;
  /** slow, fail, hang, reset: share of requests that are struck, 0 to 1. */
  readonly share: number;
  /** fail: the status, 500 to 599. */
  readonly status: number;
  /** flap: milliseconds of answering, then as many of refusing. */
  readonly period: number;
  /**
   * `ok`: `/healthz` shares the fate of hang and reset, not of slow and fail. `fail`: it says 503.
   * `always`: it says 200 whatever the mode (a unit that is ill and does not know it).
   */
  readonly health: HealthMode;
  /** Requests in service at once, so that the capacity is `workers * 1000 / work` a second; 0 is no bound. */
  readonly workers: number;
  /** Milliseconds that a worker takes for a request. What the mode strikes comes to no worker. */
  readonly work: number;
  readonly spread: Spread;
}

export const DEFAULT_SWITCHES: Switches = {
  mode: "ok",
  ms: 500,
  share: 1,
  status: 503,
  period: 1000,
  health: "ok",
  workers: 0,
  work: 20,
  spread: "fixed",
};

/** What happens to one request. */
export type Fate =
  | { readonly kind: "answer" }
  | { readonly kind: "delay"; readonly ms: number }
  | { readonly kind: "fail"; readonly status: number }
  | { readonly kind: "hang" }
  | { readonly kind: "reset" };

const ANSWER: Fate = { kind: "answer" };

/**
 * The switches after a change. A change that names a mode begins from the defaults, so that the last mode's share
 * does not linger; `health` and the capacity stay until they are named.
 *
 * @throws TypeError that names the offending field and value
 */
export function changeSwitches(current: Switches, change: unknown): Switches {
  if (typeof change !== "object" || change === null || Array.isArray(change)) {
    throw new TypeError("the switches must be a JSON object");
  }
  const fields = change as Record<string, unknown>;
  for (const [name, value] of Object.entries(fields)) {
    const check = CHECKS[name as keyof Switches];
    if (check === undefined) throw new TypeError(`${name} is not a switch; expected ${SWITCH_NAMES}`);
    if (!check.holds(value)) {
      throw new TypeError(`${name} is ${JSON.stringify(value)}; expected ${check.expected}`);
    }
  }
  const { health, workers, work, spread } = current;
  const from = fields.mode === undefined ? current : { ...DEFAULT_SWITCHES, health, workers, work, spread };
  const ms = fields.mode === "refuse" ? { ms: 0 } : {};
  return { ...from, ...ms, ...(fields as Partial<Switches>) };
}

interface Check {
  readonly expected: string;
  holds(value: unknown): boolean;
}

const CHECKS: Readonly<Record<keyof Switches, Check>> = {
  mode: oneOf(MODES),
  ms: between(0, 3_600_000),
  share: between(0, 1),
  status: between(500, 599),
  period: between(10, 3_600_000),
  health: oneOf(HEALTH_MODES),
  workers: { expected: "a whole number from 0 to 10000", holds: isWorkers },
  work: between(0.1, 3_600_000),
  spread: oneOf(SPREADS),
};
const SWITCH_NAMES = Object.keys(CHECKS).join(", ");

function oneOf(values: readonly string[]): Check {
  return {
    expected: values.join(", "),
    holds: (value) => typeof value === "string" && values.includes(value),
  };
}

function between(low: number, high: number): Check {
  return {
    expected: `a number from ${low} to ${high}`,
    holds: (value) => typeof value === "number" && value >= low && value <= high,
  };
}

function isWorkers(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 10_000;
}

/** Deals fates to requests, in their order. */
export class Fates {
  #credit = 0;

  next(switches: Switches): Fate {
    const { mode } = switches;
    if (mode === "ok" || mode === "flap" || mode === "refuse") return ANSWER;
    this.#credit += switches.share;
    if (this.#credit < 1 - 1e-9) return ANSWER; // Ten times 0.1 is a little less than 1.
    this.#credit -= 1;
    switch (mode) {
      case "slow":
        return { kind: "delay", ms: switches.ms };
      case "fail":
        return { kind: "fail", status: switches.status };
      case "hang":
        return { kind: "hang" };
      case "reset":
        return { kind: "reset" };
    }
  }

  health(switches: Switches): Fate {
    if (switches.health === "fail") return { kind: "fail", status: 503 };
    if (switches.health === "always") return ANSWER;
    return switches.mode === "hang" || switches.mode === "reset" ? { kind: switches.mode } : ANSWER;
  }

  /** Begins a new count, so that the first struck request after a change does not depend on what came before. */
  restart(): void {
    this.#credit = 0;
  }
}
