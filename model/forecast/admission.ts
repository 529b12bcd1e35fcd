/**
 * What units take of what they are asked when it is more than they bear: the gateway's admission in the long run.
 *
 * A unit's bucket keeps its last part for the more urgent, so of a load that lasts it takes by priority. What is at home
 * in a unit is shed there. What is not (it fails over) is offered to each unit of its chain in turn, beside that unit's
 * own of the same priority, and what none has room for is shed at the first. Requests per second, and no chance in it:
 * shares of a rate are what a great many requests come to.
 */
import { LEVELS } from "./by-priority.ts";

export interface Flow {
  /** By priority. */
  readonly asked: Float64Array;
  /** Units by index, in the order in which they are tried; the rest only while it has one. */
  readonly chain: readonly number[];
}

/** Less than this is nothing. */
const NOTHING = 1e-9;
/** Shares only ever fall from one round to the next, and by then hardly so. */
const MOST_ROUNDS = 1_000;

interface Place {
  /** Capacity that the more urgent have left. */
  left: number;
  arrivals: number;
  /** Of the arrivals, what finds room. */
  share: number;
  readonly shed: Float64Array;
}

/**
 * @param own by unit and priority: what is at home there
 * @param capacities Infinity where nobody has said
 * @returns what is shed in each unit that a flow comes to; everywhere else it is `shedAlone`
 */
export function admit(
  own: Float64Array,
  capacities: Float64Array,
  flows: readonly Flow[],
): Map<number, Float64Array> {
  const places = new Map<number, Place>();
  const placeOf = (unit: number, priority: number): Place => {
    const known = places.get(unit);
    if (known !== undefined) return known;
    const shed = shedAlone(own, unit, capacities[unit]!);
    let left = capacities[unit]!;
    for (let p = 0; p < priority; p++) left = Math.max(0, left - own[unit * LEVELS + p]!);
    const arrivals = own[unit * LEVELS + priority]!;
    // Beside its own it has no more room than this, so that a row of full units is walked along at once.
    const share = arrivals < left ? 1 : left / Math.max(arrivals, NOTHING);
    const place = { left, arrivals, share, shed };
    places.set(unit, place);
    return place;
  };
  // Where everything fits at its first choice, which is most of the day, nothing has to be found out.
  if (flows.every(({ chain }) => chain.length > 0) && doesFit(own, capacities, flows)) return new Map();
  for (let priority = 0; priority < LEVELS; priority++) {
    const offered = flows.filter(({ asked }) => asked[priority]! > NOTHING);
    for (let round = 0; round < MOST_ROUNDS; round++) {
      for (const [unit, place] of places) place.arrivals = own[unit * LEVELS + priority]!;
      for (const { asked, chain } of offered) {
        let rest = asked[priority]!;
        for (let i = 0; i < chain.length && rest > NOTHING; i++) {
          const place = placeOf(chain[i]!, priority);
          place.arrivals += rest;
          rest *= 1 - place.share;
        }
      }
      let change = 0;
      for (const place of places.values()) {
        const share = Math.min(place.share, place.arrivals <= place.left ? 1 : place.left / place.arrivals);
        change = Math.max(change, place.share - share);
        place.share = share;
      }
      if (change < NOTHING) break;
    }
    for (const [unit, place] of places) {
      place.shed[priority] = own[unit * LEVELS + priority]! * (1 - place.share);
    }
    for (const { asked, chain } of offered) {
      let rest = asked[priority]!;
      for (let i = 0; i < chain.length && rest > NOTHING; i++) rest *= 1 - placeOf(chain[i]!, priority).share;
      if (rest > NOTHING) places.get(chain[0]!)!.shed[priority]! += rest;
    }
    for (const [unit, place] of places) {
      place.left = Math.max(0, place.left - place.arrivals * place.share);
      place.share = 1;
      if (priority + 1 === LEVELS) continue;
      place.arrivals = own[unit * LEVELS + priority + 1]!;
      place.share = place.arrivals < place.left ? 1 : place.left / Math.max(place.arrivals, NOTHING);
    }
  }
  return new Map([...places].map(([unit, { shed }]) => [unit, shed]));
}

/** What a unit sheds of what is at home there, least urgent first. */
export function shedAlone(own: Float64Array, unit: number, capacity: number): Float64Array {
  const shed = new Float64Array(LEVELS);
  let left = -capacity;
  for (let p = 0; p < LEVELS; p++) left += own[unit * LEVELS + p]!;
  for (let p = LEVELS - 1; p >= 0 && left > NOTHING; p--) {
    shed[p] = Math.min(left, own[unit * LEVELS + p]!);
    left -= shed[p]!;
  }
  return shed;
}

function doesFit(own: Float64Array, capacities: Float64Array, flows: readonly Flow[]): boolean {
  const left = new Map<number, number>();
  for (const { asked, chain } of flows) {
    const unit = chain[0]!;
    let room = left.get(unit);
    if (room === undefined) {
      room = capacities[unit]!;
      for (let p = 0; p < LEVELS; p++) room -= own[unit * LEVELS + p]!;
    }
    for (const amount of asked) room -= amount;
    if (room < 0) return false;
    left.set(unit, room);
  }
  return true;
}
