/** What happened, in sentences: deeds as they are done, and what the gateway made of them. */
import type { Clock } from "../../model/clock.ts";
import type { Action } from "./flags.ts";
import type { DemoUnit } from "./fleet.ts";
import type { Deed } from "./verdict.ts";
import type { DemoEvent } from "./view.ts";
import type { Failover, Figures } from "./window.ts";

/** A way of failing over that was quiet for so long is news again. */
const QUIET_MS = 5000;
const KEPT = 200;

const DONE: Readonly<Record<Exclude<Action, "release">, string>> = {
  kill: "killed",
  revive: "started again",
  hang: "hung",
  resume: "resumed",
  slow: "made slow",
  restore: "as quick as before",
};

export class Chronicle {
  readonly #clock: Clock;
  readonly #units: readonly DemoUnit[];
  readonly #start: number;
  readonly #tell: (event: DemoEvent) => void;
  readonly events: DemoEvent[] = [];
  readonly deeds: Deed[] = [];
  readonly #unitHealth = new Map<string, boolean>();
  readonly #endpointHealth = new Map<number, boolean>();
  readonly #ways = new Map<string, { total: number; grewAt: number }>();
  /** Unit → the last deed on it or on one of its endpoints. */
  readonly #lastDeed = new Map<string, Deed>();

  /** @param tell also gets each event at once */
  constructor(clock: Clock, units: readonly DemoUnit[], tell: (event: DemoEvent) => void) {
    this.#clock = clock;
    this.#units = units;
    this.#start = clock.now();
    this.#tell = tell;
  }

  /** Since the beginning. */
  get seconds(): number {
    return (this.#clock.now() - this.#start) / 1000;
  }

  write(text: string, tone: DemoEvent["tone"] = "plain"): void {
    const event = { at: this.seconds, text, tone };
    this.events.push(event);
    this.events.splice(0, this.events.length - KEPT);
    this.#tell(event);
  }

  /** @param target a unit's name or an endpoint's letter */
  deed(action: Action, target: string): void {
    const deed = { action, target, at: this.#clock.now() };
    this.deeds.push(deed);
    if (action === "release") {
      this.write(`a ${target} canary is released: rollout shop begins`, target === "bad" ? "bad" : "good");
      return;
    }
    const unit = this.#units.find(({ name }) => name === target);
    const endpoint = this.#units
      .flatMap(({ endpoints }) => endpoints)
      .find(({ letter }) => unit === undefined && letter === target);
    this.#lastDeed.set(endpoint?.unit ?? target, deed);
    const name =
      endpoint === undefined ? `unit ${target}` : `endpoint ${target} (${endpoint.unit} :${endpoint.port})`;
    this.write(`${name} ${DONE[action]}`, ["kill", "hang", "slow"].includes(action) ? "bad" : "good");
  }

  /** Compares the gateway's verdicts with its last ones. */
  observe(figures: Figures): void {
    const changed = new Set<string>();
    for (const [unit, { healthy }] of figures.units) {
      if (healthy === undefined || !turned(this.#unitHealth, unit, healthy)) continue;
      changed.add(unit);
      this.write(
        `the gateway finds unit ${unit} ${word(healthy)}${this.#since(unit)}`,
        healthy ? "good" : "bad",
      );
    }
    for (const { name, endpoints } of this.#units) {
      for (const { letter, port } of endpoints) {
        const healthy = figures.endpoints.get(port);
        if (healthy === undefined || !turned(this.#endpointHealth, port, healthy)) continue;
        // The unit's own verdict says it all; alone, an endpoint's change is news.
        if (changed.has(name) || this.#unitHealth.get(name) === false) continue;
        const place = `endpoint ${letter} (${name} :${port})`;
        this.write(
          `the gateway finds ${place} ${word(healthy)}${this.#since(name)}`,
          healthy ? "good" : "bad",
        );
      }
    }
    for (const failover of figures.failovers) this.#failover(failover);
  }

  #failover({ from, to, cause, total }: Failover): void {
    const way = `${from}→${to}`;
    const key = `${way} ${cause}`;
    const now = this.#clock.now();
    const known = this.#ways.get(key);
    if (total <= (known?.total ?? 0)) return;
    const quiet = [...this.#ways].every(
      ([k, { grewAt }]) => !k.startsWith(`${way} `) || now - grewAt > QUIET_MS,
    );
    this.#ways.set(key, { total, grewAt: now });
    if (quiet) this.write(`requests of ${from} are answered by ${to} (${cause})`);
  }

  #since(unit: string): string {
    const deed = this.#lastDeed.get(unit);
    return deed === undefined ? "" : `, ${((this.#clock.now() - deed.at) / 1000).toFixed(1)} s later`;
  }
}

/** Whether a verdict differs from the last one. The first verdict is no news when it is a good one. */
function turned<Key>(known: Map<Key, boolean>, key: Key, healthy: boolean): boolean {
  const before = known.get(key) ?? true;
  known.set(key, healthy);
  return before !== healthy;
}

function word(healthy: boolean): string {
  return healthy ? "healthy" : "unhealthy";
}
