/**
 * Says once of each drain that its unit is empty: an event `drained`, for whoever waits to take it down.
 *
 * What was said is written with the event, so that the next leader does not say it again.
 */
import type { Desk } from "./desk.ts";
import { type DrainStanding, drainStandings } from "./fleet-gateways.ts";
import type { Gateways } from "./publish/gateways.ts";
import type { Commit, Store } from "./store/store.ts";

const DRAINED = "drained";

interface Said {
  /** Of the drain. */
  readonly since: number;
}

export interface DrainsOptions {
  readonly store: Store;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** The leadership to write under; undefined while this control plane does not lead. */
  readonly epoch: () => number | undefined;
  readonly write: (change: Commit) => Promise<void>;
}

export class Drains {
  readonly #options: DrainsOptions;
  /** Unit → when the drain was laid that is known to have been said. */
  #said = new Map<string, number>();
  #busy = false;

  constructor(options: DrainsOptions) {
    this.#options = options;
  }

  /** Call it often; it does nothing while the last call is under way. @throws Refused · Unavailable */
  async look(standings: readonly DrainStanding[]): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      // Of what is drained no more, nothing need be kept.
      const drained = new Set(standings.map(({ unit }) => unit));
      for (const unit of this.#said.keys()) if (!drained.has(unit)) this.#said.delete(unit);
      for (const standing of standings) {
        if (standing.empty && this.#said.get(standing.unit) !== standing.since) await this.#say(standing);
      }
    } finally {
      this.#busy = false;
    }
  }

  async #say({ unit, since, gone }: DrainStanding): Promise<void> {
    const { store, now, epoch: epochOf, write } = this.#options;
    const stored = await store.document(DRAINED, unit);
    if (stored === undefined || (JSON.parse(stored.body) as Said).since !== since) {
      const [epoch, at] = [epochOf(), now()];
      if (epoch === undefined) return;
      const took = Math.max(0, at - since);
      const left = gone.length === 0 ? {} : { gone };
      await write({
        epoch,
        puts: [{ kind: DRAINED, id: unit, body: JSON.stringify({ since }), expect: stored?.version ?? 0 }],
        events: [{ at, type: "drained", body: JSON.stringify({ unit, since, took, ...left }) }],
      });
    }
    this.#said.set(unit, since);
  }
}

/** Of what is drained now, as far as anybody sees it. */
export function drainsNow(desk: Desk, gateways: Gateways): DrainStanding[] {
  const units = desk.standing?.config.fleet.units ?? [];
  const drained = units.filter(({ drain }) => drain !== undefined);
  return drained.length === 0
    ? []
    : drainStandings(drained, gateways.list(), gateways.silence.bind(gateways));
}
