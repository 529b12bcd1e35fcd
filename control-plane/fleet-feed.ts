/**
 * How the fleet is, told again and again to whoever looks at it: once a second, and at once when a unit or a gateway is
 * another than before. It is worked out once for all who look, and not at all while nobody does.
 */
import type { Desk } from "./desk.ts";
import { type Figure, figureOf, totalOf } from "./figure.ts";
import { WIDTH } from "./figure-ring.ts";
import type { FleetFigures } from "./fleet-figures.ts";
import type { FedFigure, FedGateway, FleetNow } from "./fleet-now.ts";
import { flowsOf, slotsByUnit, unitStandings } from "./fleet-units.ts";
import { type Gateways, SILENT } from "./publish/gateways.ts";

export interface FleetFeedOptions {
  readonly desk: Desk;
  readonly gateways: Gateways;
  readonly figures: FleetFigures;
  readonly epoch: () => number | undefined;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Milliseconds. */
const TELL_EVERY = 1_000;
const LOOK_EVERY = 200;
/** Of the time, this part at most goes into looking: a look that takes long comes less often. */
const MOST_WORK = 20;

export class FleetFeed {
  readonly #options: FleetFeedOptions;
  readonly #listeners = new Set<(text: string) => void>();
  #timer: NodeJS.Timeout | undefined;
  #told = "";
  #toldAt = Number.NEGATIVE_INFINITY;
  #slots: { readonly of: object; readonly by: ReturnType<typeof slotsByUnit> } | undefined;

  constructor(options: FleetFeedOptions) {
    this.#options = options;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  /** @param listener is told how things are now, before this returns · @returns what stops it */
  listen(listener: (text: string) => void): () => void {
    this.#listeners.add(listener);
    listener(this.#text());
    if (this.#timer === undefined) this.#schedule(LOOK_EVERY);
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      clearTimeout(this.#timer);
      this.#timer = undefined;
    };
  }

  #schedule(milliseconds: number): void {
    this.#timer = setTimeout(() => {
      const began = this.#options.now();
      this.#look(began);
      // A clock that was set meanwhile says nothing of work.
      const work = Math.min(TELL_EVERY, (this.#options.now() - began) * MOST_WORK);
      this.#schedule(Math.max(LOOK_EVERY, work));
    }, milliseconds);
  }

  #look(now: number): void {
    const isTime = Math.abs(now - this.#toldAt) >= TELL_EVERY - LOOK_EVERY / 2;
    if (!isTime && this.#signature() === this.#told) return;
    const text = this.#text();
    for (const tell of this.#listeners) tell(text);
  }

  #text(): string {
    this.#told = this.#signature();
    this.#toldAt = this.#options.now();
    return JSON.stringify(this.seen());
  }

  /** What is told at once when it is another. */
  #signature(): string {
    const { desk, gateways } = this.#options;
    const units = unitStandings(desk.standing?.config.fleet.units ?? [], gateways.list());
    const health = units.map(({ healthy }) => (healthy === null ? "?" : healthy ? "+" : "-")).join("");
    const shape = this.#gateways().map((g) => `${g.gateway} ${g.live} ${g.revision} ${g.refused?.revision}`);
    return `${desk.standing?.revision.number} ${health} ${shape.join()}`;
  }

  #gateways(): FedGateway[] {
    const { gateways, now } = this.#options;
    return gateways.list().map(({ name, connected, heardAt, revision, refused }) => ({
      gateway: name,
      live: connected && now() - heardAt <= SILENT,
      ...{ heardAt, revision, refused: refused ?? null },
    }));
  }

  seen(): FleetNow {
    const { desk, gateways, figures, epoch, now } = this.#options;
    const { standing } = desk;
    const units = standing?.config.fleet.units ?? [];
    const standings = unitStandings(units, gateways.list());
    const slots = this.#slotsByUnit();
    const sum = figures.sum("10s");
    const rows = new Map<string, Float64Array>();
    for (const { name, row } of sum.series) {
      let all = rows.get(name.unit);
      if (all === undefined) {
        all = new Float64Array(WIDTH);
        rows.set(name.unit, all);
      }
      for (let i = 0; i < WIDTH; i++) all[i]! += row[i]!;
    }
    const figure = (unit: string): FedFigure | null => {
      const row = rows.get(unit);
      return row === undefined ? null : shown(figureOf(row, sum.known));
    };
    const total = totalOf(sum, true);
    return {
      now: now(),
      fleet: standing?.config.fleet.name ?? null,
      revision: standing?.revision.number ?? null,
      revisionAt: standing?.revision.at ?? null,
      leads: epoch() !== undefined,
      total: total === null ? null : shown(total),
      units: standings.map((one, i) => ({
        ...one,
        center: units[i]!.center,
        slots: slots?.owned.get(one.unit) ?? 0,
        fenced: slots?.fenced.get(one.unit) ?? 0,
        figure: figure(one.unit),
      })),
      flows: flowsOf(units, standings),
      gateways: this.#gateways(),
    };
  }

  /** Of 65,536 slots nobody counts the owners every second. */
  #slotsByUnit(): ReturnType<typeof slotsByUnit> | undefined {
    const config = this.#options.desk.standing?.config;
    if (config === undefined) return undefined;
    if (this.#slots?.of !== config) this.#slots = { of: config, by: slotsByUnit(config) };
    return this.#slots.by;
  }
}

function shown({ rps, successShare, errorShare, p50, p99 }: Figure): FedFigure {
  return { rps, successShare, errorShare, p50, p99 };
}
