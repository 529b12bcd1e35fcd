/** Uneven load on several gateways at once, and what the fleet admitted of it over time. */
import { Load } from "../load/load.ts";
import { SLOT, Tally } from "../load/tally.ts";
import type { LimitedGateway } from "./stage.ts";

/** Of the whole load, one for each gateway. */
export const SHARES = [0.7, 0.2, 0.08, 0.02];
/** Slots of ten seconds. */
const WINDOW = 10_000 / SLOT;
/** Answers may take so long (ms) before they count as none. */
const TIMEOUT = 5_000;

export interface Sums {
  readonly sent: number;
  /** By a limit: 429. */
  readonly refused: number;
  /** For want of room: 503. A machine that is too small for this load sheds some of it. */
  readonly shed: number;
  /** Other answers that are no success, or none; why → how often. */
  readonly failed: number;
  readonly causes: ReadonlyMap<string, number>;
}

export class Offer {
  readonly loads: readonly Load[];
  readonly #rate: number;

  /** @param users requests are of so many of them, each as often as the others */
  constructor(gateways: readonly LimitedGateway[], rate: number, users = 1_000) {
    this.#rate = rate;
    const classes = [{ name: "all", share: 1, path: "/hall/a", users }];
    this.loads = gateways.map(
      ({ port }, i) => new Load({ port, rate: rate * SHARES[i]!, classes, timeout: TIMEOUT, seed: i + 1 }),
    );
  }

  /** One gateway's load goes to another. */
  move(from: number, to: number): void {
    this.loads[from]!.change(0);
    this.loads[to]!.change(this.#rate * (SHARES[from]! + SHARES[to]!));
  }

  phase(name: string): void {
    for (const load of this.loads) load.phase(name);
  }

  async stop(): Promise<void> {
    await Promise.all(this.loads.map((load) => load.stop()));
  }

  /** Milliseconds since it began. */
  get now(): number {
    return this.loads[0]!.now;
  }

  /** Admitted between two moments (ms), to the tenth of a second. */
  admitted(from: number, to: number): number {
    return this.loads.reduce((sum, load) => sum + load.good.between(from, to), 0);
  }

  /** Of ten seconds' tokens, the least and the most that any ten seconds admitted which lie between two moments (ms). */
  windows(rate: number, from: number, to: number): readonly [least: number, most: number] {
    let least = Number.POSITIVE_INFINITY;
    let most = 0;
    for (let slot = Math.ceil(from / SLOT); slot + WINDOW <= Math.floor(to / SLOT); slot++) {
      const share = this.admitted(slot * SLOT, (slot + WINDOW) * SLOT) / (rate * 10);
      least = Math.min(least, share);
      most = Math.max(most, share);
    }
    return [least, most];
  }

  sums(phase?: string): Sums {
    const phases = this.loads.flatMap((load) =>
      load.phases.filter((p) => phase === undefined || p.name === phase),
    );
    const sum = new Tally();
    for (const { all } of phases) sum.add(all);
    const refused = sum.causes.get("429") ?? 0;
    const { sent, shed, failed, causes } = sum;
    return { sent, refused, shed: shed - refused, failed, causes };
  }

  /** Milliseconds that the slowest gateway's answers took. */
  latency(phase: string, quantile: number): number {
    const found = this.loads.map((load) => load.phases.find((p) => p.name === phase)!.all.latency(quantile));
    return Math.max(...found.filter((ms) => !Number.isNaN(ms)));
  }

  /** p99 of how late requests were sent (ms): figures of a generator that lags say little. */
  get lag(): number {
    return Math.max(...this.loads.flatMap((load) => load.phases.map((p) => p.lag)));
  }
}
