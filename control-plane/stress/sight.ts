/** What a run is watched by: users' figures of the last seconds, and its own. */
import type { Unit } from "../../model/fleet.ts";
import type { FleetFigures } from "../fleet-figures.ts";
import { beforeOf, LEAST_BEFORE, type Window, WINDOWS, watchedUnits } from "./guardrail.ts";
import type { Before, Sample } from "./run.ts";
import { p99Of, type Seen, seenByUnit, successOf } from "./seen.ts";

/** Seconds of a sample. */
const SAMPLED = 2;

export class StressSight {
  readonly #figures: FleetFigures;

  constructor(figures: FleetFigures) {
    this.#figures = figures;
  }

  /** What is usual of the units that are watched: over a minute, or ten where that is too little. */
  before(unit: string, units: readonly Unit[]): Before[] {
    const [minute, ten] = [this.#users(58), withNobody(seenByUnit(this.#figures.sum("10m")))];
    return [...watchedUnits(unit, units), ""].map((name) => {
      const [lately, longer] = [beforeOf(name, minute.get(name)), beforeOf(name, ten.get(name))];
      if (lately.requests < LEAST_BEFORE) return longer;
      // The last minute may have been a bad one: the run before this one was in it.
      const p99 = Math.min(lately.p99 ?? Number.POSITIVE_INFINITY, longer.p99 ?? Number.POSITIVE_INFINITY);
      const ill = Math.min(lately.ill, longer.ill);
      return { ...lately, ill, p99: Number.isFinite(p99) ? p99 : null };
    });
  }

  /** By unit, over ten seconds. */
  usersLately(): ReadonlyMap<string, Seen> {
    return this.#users(10);
  }

  /** @param since seconds that it lives: what was before says nothing of it */
  windows(unit: string, since: number): { readonly all: readonly Window[]; readonly isKnown: boolean } {
    const lengths = new Set(WINDOWS.map((seconds) => Math.min(seconds, Math.max(1, Math.floor(since)))));
    const all = [...lengths].map((seconds) => ({
      seconds,
      users: this.#users(seconds),
      own: seenByUnit(this.#figures.recent(seconds, { unit, traffic: "stress" })).get(unit),
    }));
    return { all, isKnown: this.#figures.recent(WINDOWS[0]).known > 0 };
  }

  sample(unit: string, units: readonly string[]): Omit<Sample, "at"> {
    const { series, known } = this.#figures.recent(SAMPLED, { unit, traffic: "stress" });
    const seconds = Math.max(0.5, known / 1_000);
    const figureOf = (seen: Seen | undefined) => ({
      rps: Math.round(((seen?.asked ?? 0) / seconds) * 10) / 10,
      success: seen === undefined ? null : successOf(seen),
      p99: seen === undefined ? null : p99Of(seen),
    });
    const users = this.#users(SAMPLED);
    return {
      ...figureOf(seenByUnit({ series }).get(unit)),
      users: Object.fromEntries(units.map((name) => [name, figureOf(users.get(name))])),
    };
  }

  #users(seconds: number): Map<string, Seen> {
    return withNobody(seenByUnit(this.#figures.recent(seconds)));
  }
}

/** Those whom no unit served are a share of all who asked, and not of themselves. */
function withNobody(seen: Map<string, Seen>): Map<string, Seen> {
  const nobody = seen.get("");
  if (nobody === undefined) return seen;
  const asked = [...seen.values()].reduce((sum, one) => sum + one.asked, 0);
  return seen.set("", { asked, ill: nobody.ill, latencies: new Float64Array(nobody.latencies.length) });
}
