/**
 * Double 11 in simulated time: the forecast's curve over twenty units, with one that dies at the worst minute. Where
 * requests go is `decide`, what finds room is the gateway's own Candidates, Room, Picker and RetryBudget; units answer
 * whatever is within their capacity, or refuse connections. The same seed gives the same night.
 *
 * Minutes around the peak run second by second, one after the other; of all other rows, one second each.
 */
import type { Random } from "../../model/clock.ts";
import type { Config } from "../../model/config.ts";
import { decide, DOWN } from "../../model/decide.ts";
import { effective } from "../../model/effective.ts";
import type { SlotRange } from "../../model/slots.ts";
import { rangesOf } from "../../model/slots.ts";
import { endOf, type Forecast, loadAt, peakOf, rowAt } from "../../model/forecast/forecast.ts";
import { PRIORITIES } from "../../model/route.ts";
import { compileTable, endpointsOf, type Table } from "../../model/table.ts";
import { Candidates } from "../../gateway/candidates.ts";
import type { Core } from "../../gateway/core.ts";
import { liveState } from "../../gateway/live-state.ts";
import { Picker } from "../../gateway/pick.ts";
import { RetryBudget } from "../../gateway/retry-budget.ts";
import { Room } from "../../gateway/room.ts";
import { config, route, service } from "../support/config.ts";

export interface NightOptions {
  readonly forecast: Forecast;
  readonly random: Random;
  /** Rates and capacities divided by this: fewer requests, and more scatter. */
  readonly thin: number;
  /** Seconds of the part that runs without a break, before and after the peak. */
  readonly before: number;
  readonly after: number;
  /** One second of every row outside of that. */
  readonly wholeDay: boolean;
  /** Dies so many seconds after the peak has begun; undefined: nobody does. */
  readonly dies: number | undefined;
  /** Seconds later its slots are moved to others, as the plan for a dead unit does. */
  readonly movesAfter: number;
}

export interface Second {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly sent: number[];
  readonly good: number[];
  readonly shed: number[];
  readonly failed: number[];
}

export const UNITS = 20;
/** Requests per second that one unit bears: 52,000 together, and 49,400 without one. */
export const CAPACITY = 2_600;
/** The unit that dies: neither the center nor the first of a region. */
export const VICTIM = "u07";
const REGIONS = ["hangzhou", "shanghai", "shenzhen", "chengdu"];
const SLOTS = 4_000;
const USERS = 200_000;
/** Checks fail so many times, so far apart (ms), before a unit is known to be down. */
const KNOWN_AFTER = 3 * 1_000;
const RETRIES = 2;
const BUDGET = 0.2;

const units = Array.from({ length: UNITS }, (_, i) => `u${`${i}`.padStart(2, "0")}`);
const regionOf = (i: number): string => REGIONS[Math.floor((i * REGIONS.length) / UNITS)]!;

/** Twenty units in four regions; each fails over to its region first, then to the others in order. */
export function nightFleet(thin = 1): Config {
  const key = [{ from: "header" as const, name: "u" }];
  const routes = [
    route("pay", "/pay", { scope: "sharded", failover: "reads", key, priority: "critical" }),
    route("cart", "/cart", { scope: "sharded", failover: "reads", key, priority: "high" }),
    route("hall", "/hall", { scope: "sharded", failover: "all", key, match: { methods: ["GET"] } }),
    route("feed", "/feed", {
      scope: "sharded",
      failover: "all",
      key,
      priority: "sheddable",
      match: { methods: ["GET"] },
    }),
  ];
  const base = config(routes, [
    service("hall", {
      pools: Object.fromEntries(units.map((name) => [name, { stable: [`http://${name}`], canary: [] }])),
    }),
  ]);
  const far = (i: number): string[] => {
    const others = units.map((_, k) => (i + k + 1) % UNITS).slice(0, UNITS - 1);
    const near = others.filter((k) => regionOf(k) === regionOf(i));
    return [...near, ...others.filter((k) => regionOf(k) !== regionOf(i))].map((k) => units[k]!);
  };
  return {
    ...base,
    fleet: {
      ...base.fleet,
      regions: REGIONS.map((name) => ({ name, near: [] })),
      units: units.map((name, i) => ({
        ...base.fleet.units[0]!,
        name,
        region: regionOf(i),
        center: i === 0,
        capacity: CAPACITY / thin,
        failover: far(i),
      })),
      placement: {
        ...base.fleet.placement,
        key,
        slots: SLOTS,
        map: Array.from({ length: SLOTS }, (_, slot) => units[slot % UNITS]!),
        pins: {},
      },
    },
  };
}

/** The two routes of configs/double11 as four: a third of the cart is payment, a third of the hall a feed. */
export function nightForecast({ zone, times, routes }: Forecast, thin = 1): Forecast {
  const part = (name: string, share: number): number[] => routes[name]!.map((rps) => (rps * share) / thin);
  return {
    zone,
    times,
    routes: {
      pay: part("cart", 1 / 3),
      cart: part("cart", 2 / 3),
      hall: part("hall", 2 / 3),
      feed: part("hall", 1 / 3),
    },
  };
}

/** Slots of the dead unit, spread over all others. */
function withoutVictim(base: Config): Config {
  const own = base.fleet.placement.map.flatMap((unit, slot) => (unit === VICTIM ? [slot] : []));
  const others = units.filter((unit) => unit !== VICTIM);
  const overlays = others.map((unit, i) => {
    const slots: SlotRange[] = rangesOf(own.filter((_, k) => k % others.length === i));
    return {
      id: `ov-${i}`,
      change: { kind: "move" as const, slots, keys: [], unit },
      owner: "",
      reason: "",
      since: 0,
      expires: undefined,
    };
  });
  return effective(base, overlays).config;
}

export function simulateNight(options: NightOptions, onSecond: (second: Second) => void): void {
  const { forecast, random, thin, before, after, wholeDay, dies, movesAfter } = options;
  const base = nightFleet(thin);
  let now = 0;
  const clock = { now: () => now };
  const live = liveState(1);
  const core = {
    live,
    random,
    room: new Room(live, clock),
    picker: new Picker(live, clock, random),
    breakers: { of: () => undefined },
    unitRow: (unit: { readonly id: number }) => unit.id,
  } as unknown as Core;
  const compiled = (whole: Config): Table[] => REGIONS.map((region) => compileTable(whole, { region }));
  const usual = compiled(base);
  const moved = compiled(withoutVictim(base));
  const victim = [...endpointsOf(usual[0]!)].find(({ pool }) => pool.unit.name === VICTIM)!.id;
  const keys = Array.from({ length: USERS }, (_, i) => `user-${i}`);
  const names = ["pay", "cart", "hall", "feed"];
  const budgets = new Map(names.map((name) => [name, new RetryBudget(clock, 1)]));
  const asked = { method: "GET", host: "", path: "", query: "", headers: ["u", ""], client: "" };
  let tables = usual;
  let dead = false;

  const serve = (second: Second, name: string): void => {
    const key = keys[Math.floor(random.next() * USERS)]!;
    const table = tables[Math.floor(random.next() * REGIONS.length)]!;
    asked.path = `/${name}`;
    asked.method = name === "hall" || name === "feed" || random.next() < 0.5 ? "GET" : "POST";
    asked.headers[1] = key;
    asked.client = key;
    const decision = decide(table, live, asked);
    if (decision.refused) throw new Error(`nobody serves ${name}: ${decision.cause}`);
    const priority = PRIORITIES.indexOf(decision.route.spec.priority);
    second.sent[priority]!++;
    const budget = budgets.get(name)!;
    budget.begin(now);
    const candidates = new Candidates(core, decision, undefined, undefined);
    let retried = false;
    for (let attempt = 0; ; attempt++) {
      const endpoint = candidates.next();
      if (endpoint === undefined) {
        (candidates.full ? second.shed : second.failed)[priority]!++;
        break;
      }
      if (!(dead && endpoint.id === victim)) {
        second.good[priority]!++;
        break;
      }
      // Refused: no server saw it, so that a write may be repeated, too, where the route lets it go elsewhere.
      if (attempt >= RETRIES || !budget.take(BUDGET, true, retried)) {
        second.failed[priority]!++;
        break;
      }
      retried = true;
      candidates.failed(endpoint, attempt === RETRIES - 1, false);
    }
    budget.end(retried);
  };

  const run = (at: number, index: number): void => {
    const second: Second = {
      at,
      sent: [0, 0, 0, 0],
      good: [0, 0, 0, 0],
      shed: [0, 0, 0, 0],
      failed: [0, 0, 0, 0],
    };
    const load = loadAt(forecast, index);
    const rates = names.map((name) => load.get(name)!);
    const whole = rates.reduce((a, b) => a + b, 0);
    const end = now + 1_000;
    for (;;) {
      const next = now - (Math.log(1 - random.next()) * 1_000) / whole;
      if (next >= end || whole === 0) break;
      now = next;
      let at_ = random.next() * whole;
      let i = 0;
      while (i < 3 && at_ >= rates[i]!) at_ -= rates[i++]!;
      serve(second, names[i]!);
    }
    now = end;
    onSecond(second);
  };

  const peak = forecast.times[peakOf(forecast)]!;
  const [from, to] = [peak - before * 1_000, peak + after * 1_000];
  const rest = (within: (index: number) => boolean): void => {
    if (!wholeDay) return;
    for (const [index, at] of forecast.times.entries()) {
      if (!within(index)) continue;
      // A moment in which buckets fill, as they are between two rows.
      now += 1_000;
      run(at, index);
    }
  };
  rest((index) => endOf(forecast, index) <= from);
  for (let at = from; at < to; at += 1_000) {
    if (dies !== undefined) {
      const since = at - peak - dies * 1_000;
      dead = since >= 0;
      live.endpoints[victim] = since >= KNOWN_AFTER ? DOWN : 0;
      tables = since >= movesAfter * 1_000 ? moved : usual;
    }
    run(at, rowAt(forecast, at));
  }
  rest((index) => forecast.times[index]! >= to);
}

/** Of a stretch of seconds: what was answered of what was asked, by priority. */
export function successOf(seconds: readonly Second[]): number[] {
  return PRIORITIES.map((_, p) => {
    const [good, sent] = [total(seconds, "good", p), total(seconds, "sent", p)];
    return sent === 0 ? 1 : good / sent;
  });
}

export function total(
  seconds: readonly Second[],
  field: "sent" | "good" | "shed" | "failed",
  priority: number,
): number {
  return seconds.reduce((sum, second) => sum + second[field][priority]!, 0);
}

/** Seconds from a time on until every priority has had this success for so many seconds in a row. */
export function recoversAfter(
  seconds: readonly Second[],
  from: number,
  success: number,
  calm = 30,
): number | undefined {
  let since: number | undefined;
  for (const second of seconds) {
    if (second.at < from) continue;
    const well = successOf([second]).every((share) => share >= success);
    since = well ? (since ?? second.at) : undefined;
    if (since !== undefined && second.at - since >= (calm - 1) * 1_000) return (since - from) / 1_000;
  }
  return undefined;
}
