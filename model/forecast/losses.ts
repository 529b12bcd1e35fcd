/** N+1: what the loss of each single unit would cost at its worst minute, as long as nobody moves its users. */
import { admit, type Flow, shedAlone } from "./admission.ts";
import { addTo, amountOf, type ByPriority, byPriority, LEVELS, NOTHING, sum } from "./by-priority.ts";
import { chainOf, type Traffic } from "./traffic.ts";

export interface Loss {
  readonly unit: string;
  /** When the most would be lost by it. */
  readonly at: number;
  /** Shed then in the units that are left. */
  readonly shed: ByPriority;
  /** Of that, by unit, the most first. */
  readonly where: readonly { readonly unit: string; readonly rps: number }[];
  /** No other unit may serve them, such as its users' writes: they fail until its slots are moved. */
  readonly failing: ByPriority;
  /** What the units that are left could not bear then, however its users were moved; undefined: nobody knows. */
  readonly short: number | undefined;
}

interface Diverted {
  readonly class: number;
  readonly share: number;
  /** Empty where nobody may serve it. */
  readonly chain: readonly number[];
}

/** One time of the forecast. */
export interface Moment {
  /** At home in each unit, by unit and priority. */
  readonly own: Float64Array;
  /** By class and priority. */
  readonly asked: Float64Array;
  /** What fails over. */
  readonly flows: readonly Flow[];
  /** By unit. */
  readonly sheds: readonly Float64Array[];
  readonly failing: number;
}

interface Worst {
  index: number;
  lost: number;
  shed: Float64Array;
  where: { unit: string; rps: number }[];
  failing: Float64Array;
}

const MOST_WHERE = 5;

export class Losses {
  readonly #traffic: Traffic;
  readonly #capacities: Float64Array;
  /** Unit → what has to go elsewhere without it; undefined where nothing does. */
  readonly #diverted: readonly (readonly Diverted[] | undefined)[];
  readonly #worst: readonly (Worst | undefined)[];

  constructor(traffic: Traffic, capacities: Float64Array) {
    this.#traffic = traffic;
    this.#capacities = capacities;
    const byUnit = traffic.table.units.map(() => [] as (typeof traffic.lanes)[number][]);
    const always: (typeof traffic.lanes)[number][] = [];
    for (const lane of traffic.lanes) {
      const { decision } = lane.way;
      if (decision === undefined || decision.candidates[decision.first]!.unit.index !== decision.home) {
        always.push(lane);
      } else byUnit[decision.home]!.push(lane);
    }
    this.#diverted = byUnit.map((lanes, lost) => {
      if (lanes.length === 0) return undefined;
      const health = traffic.healthWithout(lost);
      return [...lanes, ...always].map(({ class: of, share, way }): Diverted => {
        const decision = way.placed(health);
        return { class: of, share, chain: decision === undefined ? [] : chainOf(decision, health) };
      });
    });
    const none = new Float64Array(LEVELS);
    this.#worst = this.#diverted.map((diverted) =>
      diverted === undefined
        ? undefined
        : { index: 0, lost: Number.NEGATIVE_INFINITY, shed: none, where: [], failing: none },
    );
  }

  /**
   * The busiest times first: then nearly all others need no more than a glance.
   *
   * @param sheds without any loss · @param failing without any loss
   */
  add(index: number, { own, asked, sheds, failing }: Moment): void {
    const alone = sheds.map((_, u) => shedAlone(own, u, this.#capacities[u]!));
    const whole = new Float64Array(LEVELS);
    for (const shed of alone) addTo(whole, shed);
    const before = sheds.reduce((all, shed) => all + sum(shed), 0) + failing;
    for (let lost = 0; lost < this.#diverted.length; lost++) {
      const [diverted, worst] = [this.#diverted[lost], this.#worst[lost]];
      if (diverted === undefined || worst === undefined) continue;
      const flows: Flow[] = [];
      const nowhere = new Float64Array(LEVELS);
      let all = 0;
      for (const lane of diverted) {
        const amount = amountOf(asked, lane);
        all += sum(amount);
        if (lane.chain.length > 0) flows.push({ asked: amount, chain: lane.chain });
        else addTo(nowhere, amount);
      }
      // Whoever comes from a lost unit takes the place of one other at the most, and what it shed is not lost again.
      if (before + all - sum(sheds[lost]!) <= worst.lost + NOTHING) continue;
      const touched = admit(own, this.#capacities, flows);
      const shed = new Float64Array(LEVELS);
      for (let p = 0; p < LEVELS; p++) {
        shed[p] = whole[p]! - alone[lost]![p]!;
        for (const [u, values] of touched) shed[p]! += values[p]! - alone[u]![p]!;
      }
      const missed = sum(shed) + sum(nowhere);
      if (missed <= worst.lost) continue;
      const where = this.#where(lost, alone, touched);
      Object.assign(worst, { index, lost: missed, shed, where, failing: nowhere });
    }
  }

  /** @param rps asked of the fleet at each time */
  end(times: readonly number[], rps: Float64Array, capacities: readonly (number | undefined)[]): Loss[] {
    const all = capacities.every((capacity) => capacity !== undefined)
      ? capacities.reduce<number>((whole, capacity) => whole + capacity!, 0)
      : undefined;
    return this.#worst.flatMap((worst, u): Loss[] => {
      if (worst === undefined) return [];
      const { index, shed, where, failing } = worst;
      const short = all === undefined ? undefined : Math.max(0, rps[index]! - (all - capacities[u]!));
      return [
        {
          unit: this.#traffic.table.units[u]!.name,
          at: times[index]!,
          shed: byPriority(shed),
          where,
          failing: byPriority(failing),
          short,
        },
      ];
    });
  }

  #where(
    lost: number,
    alone: readonly Float64Array[],
    touched: ReadonlyMap<number, Float64Array>,
  ): Worst["where"] {
    return alone
      .map((shed, u) => ({ u, rps: u === lost ? 0 : sum(touched.get(u) ?? shed) }))
      .filter(({ rps }) => rps > NOTHING)
      .sort((a, b) => b.rps - a.rps)
      .slice(0, MOST_WHERE)
      .map(({ u, rps }) => ({ unit: this.#traffic.table.units[u]!.name, rps }));
  }
}
