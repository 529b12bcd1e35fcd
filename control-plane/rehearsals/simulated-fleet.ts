/** A fleet that is only figures: gateways that acknowledge, units that answer what the projection says. */
import { bucketOf } from "../../model/latency-histogram.ts";
import { OUTCOME, OUTCOMES } from "../../model/outcome.ts";
import { type Conditions, type Load, type Projection, project } from "../../model/projection.ts";
import type { SeriesCounts } from "../../model/report.ts";
import { compileTable } from "../../model/table.ts";
import { type Standing, needed } from "../draft.ts";
import type { FleetFigures } from "../fleet-figures.ts";
import type { Gateways } from "../publish/gateways.ts";

/** Milliseconds until a gateway serves what was published: the p99 of 500 gateways. */
const PUBLISH = 260;
/** Routes whose figures are told apart; of the others only their units'. */
const MOST_ROUTES = 200;
/** Seconds that every request takes. */
const ANSWER = 0.02;

export interface SimulatedFleetOptions {
  readonly gateways: Gateways;
  readonly figures: FleetFigures;
  /** At least one. */
  readonly names: readonly string[];
  readonly load: Load;
  readonly conditions: Conditions;
}

export class SimulatedFleet {
  readonly #options: SimulatedFleetOptions;
  #served = 0;
  #due: { readonly revision: number; readonly at: number } | undefined;
  #slices = 0;
  #ofRevision: { readonly revision: number; readonly series: readonly SeriesCounts[] } | undefined;

  constructor(options: SimulatedFleetOptions) {
    this.#options = options;
  }

  projection(standing: Standing): Projection {
    return project(compileTable(standing.config), this.#options.load, this.#options.conditions);
  }

  /** @param now milliseconds of its own time */
  pass(standing: Standing, now: number, isWholeSecond: boolean): void {
    const { number } = standing.revision;
    if (this.#due?.revision !== number && this.#served !== number) {
      this.#due = { revision: number, at: now + PUBLISH };
    }
    if (this.#due !== undefined && now >= this.#due.at) {
      this.#served = this.#due.revision;
      this.#due = undefined;
    }
    const { gateways, names, conditions } = this.#options;
    const units = Object.fromEntries(
      standing.config.fleet.units.map(({ name }) => [
        name,
        { healthy: !conditions.unhealthy.has(name), inflight: 0, rate: 0, drained: 0 },
      ]),
    );
    for (const name of names) {
      gateways.connected(name);
      gateways.reported(name, { epoch: 1, revision: this.#served, units });
    }
    if (isWholeSecond) this.#count(standing);
  }

  #count(standing: Standing): void {
    const { figures } = this.#options;
    this.#slices++;
    figures.add("simulated", {
      start: "rehearsal",
      number: this.#slices,
      span: 1_000,
      age: 0,
      folded: 0,
      series: this.#seriesOf(standing),
      limited: [],
    });
  }

  #seriesOf(standing: Standing): readonly SeriesCounts[] {
    const { number } = needed(standing).revision;
    if (this.#ofRevision?.revision === number) return this.#ofRevision.series;
    const { load, conditions } = this.#options;
    const table = compileTable(standing.config);
    const busiest = [...load].sort(([, a], [, b]) => b - a);
    const own = busiest
      .slice(0, MOST_ROUTES)
      .map(([route, rps]) => [route, new Map([[route, rps]])] as const);
    const rest = ["_other", new Map(busiest.slice(MOST_ROUTES))] as const;
    const series = [...own, ...(rest[1].size === 0 ? [] : [rest])].flatMap(([route, part]) =>
      countsOf(route, project(table, part, conditions)),
    );
    this.#ofRevision = { revision: number, series };
    return series;
  }
}

function countsOf(route: string, { units, failing }: Projection): SeriesCounts[] {
  const counts = units.flatMap(({ unit, rps, shed }): SeriesCounts[] => {
    const turned = Math.round(Object.values(shed).reduce((sum, n) => sum + n, 0));
    const served = Math.max(0, Math.round(rps) - turned);
    if (served + turned === 0) return [];
    return [seriesOf(route, unit, { success: served, shed: turned })];
  });
  return failing < 0.5 ? counts : [...counts, seriesOf(route, "", { error: Math.round(failing) })];
}

function seriesOf(
  route: string,
  unit: string,
  counts: Partial<Record<(typeof OUTCOMES)[number], number>>,
): SeriesCounts {
  const outcomes = new Array<number>(OUTCOMES.length).fill(0);
  let all = 0;
  for (const [outcome, n] of Object.entries(counts)) {
    outcomes[OUTCOME[outcome as keyof typeof OUTCOME]] = n;
    all += n;
  }
  return [route, unit, "stable", outcomes, [bucketOf(ANSWER), all]];
}
