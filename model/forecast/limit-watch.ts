/** Limits that count by nothing but routes and units: whether what is expected goes through them. */
import type { Config } from "../config.ts";
import type { Decision } from "../decide.ts";
import type { Limit } from "../limit.ts";
import type { Forecast } from "./forecast.ts";
import type { CompiledUnit } from "../table.ts";
import type { Lane, Traffic } from "./traffic.ts";

export interface LimitOutlook {
  readonly limit: string;
  readonly rate: number;
  readonly burst: number;
  /** Tokens per second that its fullest bucket is asked for, at the most. */
  readonly asked: number;
  /** Such as `cart hz`; empty where all share one. */
  readonly bucket: string;
  readonly at: number;
  readonly scope: Limit["scope"];
  /** A fleet limit that is enforced and less than what is expected. What one gateway is asked, nobody knows here. */
  readonly refuses: boolean;
  /** What a bucket is asked for when one unit is lost, where that is more: its reads come through another's. */
  readonly lost: { readonly unit: string; readonly bucket: string; readonly asked: number } | undefined;
}

interface Bucket {
  readonly name: string;
  /** It counts so when this unit is lost. */
  readonly lost: string | undefined;
  /** Route → tokens of one of its requests per second. */
  readonly parts: Map<string, number>;
}

interface Watched {
  readonly limit: Limit;
  readonly buckets: readonly Bucket[];
  asked: number;
  bucket: string;
  index: number;
  lost: LimitOutlook["lost"];
}

export class LimitWatch {
  readonly #forecast: Forecast;
  readonly #watched: readonly Watched[];

  constructor(config: Config, traffic: Traffic, forecast: Forecast) {
    this.#forecast = forecast;
    this.#watched = config.limits
      .filter(({ by }) => by.every((dimension) => dimension === "route" || dimension === "unit"))
      .map((limit) => ({
        limit,
        buckets: bucketsOf(limit, traffic),
        asked: 0,
        bucket: "",
        index: 0,
        lost: undefined,
      }));
  }

  add(index: number): void {
    for (const watched of this.#watched) {
      // Where one route fills it, a bucket is fullest when its route is.
      for (const bucket of watched.buckets) if (bucket.parts.size > 1) this.#look(watched, bucket, index);
    }
  }

  #look(watched: Watched, { name, lost, parts }: Bucket, index: number): void {
    const { routes } = this.#forecast;
    let asked = 0;
    for (const [route, tokens] of parts) asked += (routes[route]?.[index] ?? 0) * tokens;
    if (lost !== undefined) {
      if (asked > (watched.lost?.asked ?? 0)) watched.lost = { unit: lost, bucket: name, asked };
    } else if (asked > watched.asked) Object.assign(watched, { asked, bucket: name, index });
  }

  end(): LimitOutlook[] {
    const { routes } = this.#forecast;
    const fullest = new Map(Object.entries(routes).map(([route, rps]) => [route, rps.indexOf(maximum(rps))]));
    for (const watched of this.#watched) {
      for (const bucket of watched.buckets) {
        const [route] = bucket.parts.keys();
        if (bucket.parts.size === 1) this.#look(watched, bucket, fullest.get(route!) ?? 0);
      }
    }
    return this.#watched.map(({ limit, asked, bucket, index, lost: without }) => {
      const { name, rate, burst, scope, mode } = limit;
      const refuses = scope === "fleet" && mode === "enforce" && asked > rate + 1e-6;
      const lost = without !== undefined && without.asked > asked ? without : undefined;
      return {
        limit: name,
        rate,
        burst,
        asked,
        bucket,
        at: this.#forecast.times[index]!,
        scope,
        refuses,
        lost,
      };
    });
  }
}

function bucketsOf({ name, by }: Limit, traffic: Traffic): Bucket[] {
  const buckets = new Map<string, Bucket>();
  const { classes, lanes, table } = traffic;
  const count = ({ class: of, share }: Lane, unit: string, lost: string | undefined): void => {
    for (const { route, part } of classes[of]!) {
      const { limits, cost } = route.spec;
      if (!limits.includes(name)) continue;
      const own = by.map((dimension) => (dimension === "route" ? route.name : unit)).join(" ");
      const key = lost === undefined ? own : `${own} without ${lost}`;
      let bucket = buckets.get(key);
      if (bucket === undefined) {
        bucket = { name: own, lost, parts: new Map() };
        buckets.set(key, bucket);
      }
      bucket.parts.set(route.name, (bucket.parts.get(route.name) ?? 0) + part * share * cost);
    }
  };
  const byUnit = table.units.map(() => [] as Lane[]);
  for (const lane of lanes) {
    const unit = firstOf(lane.way.decision);
    if (unit === undefined) continue;
    count(lane, unit.name, undefined);
    byUnit[unit.index]!.push(lane);
  }
  if (!by.includes("unit")) return [...buckets.values()];
  const whole = new Map([...buckets].map(([key, { parts }]) => [key, new Map(parts)]));
  for (const [lost, gone] of byUnit.entries()) {
    if (gone.length === 0) continue;
    const health = traffic.healthWithout(lost);
    for (const lane of gone) {
      const unit = firstOf(lane.way.placed(health));
      if (unit !== undefined) count(lane, unit.name, table.units[lost]!.name);
    }
  }
  // Beside what it has anyway.
  for (const { name: key, lost, parts } of buckets.values()) {
    if (lost === undefined) continue;
    for (const [route, tokens] of whole.get(key) ?? []) parts.set(route, (parts.get(route) ?? 0) + tokens);
  }
  return [...buckets.values()];
}

function firstOf(decision: Decision | undefined): CompiledUnit | undefined {
  return decision === undefined ? undefined : decision.candidates[decision.first]!.unit;
}

function maximum(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), 0);
}
