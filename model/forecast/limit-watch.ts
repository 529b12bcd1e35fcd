/** Limits that count by nothing but routes and units: whether what is expected goes through them. */
import type { Config } from "../config.ts";
import type { Limit } from "../limit.ts";
import type { Forecast } from "./forecast.ts";
import type { Traffic } from "./traffic.ts";

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
}

interface Bucket {
  readonly name: string;
  /** Route → tokens of one of its requests per second. */
  readonly parts: Map<string, number>;
}

interface Watched {
  readonly limit: Limit;
  readonly buckets: readonly Bucket[];
  asked: number;
  bucket: string;
  index: number;
}

export class LimitWatch {
  readonly #forecast: Forecast;
  readonly #watched: readonly Watched[];

  constructor(config: Config, traffic: Traffic, forecast: Forecast) {
    this.#forecast = forecast;
    this.#watched = config.limits
      .filter(({ by }) => by.every((dimension) => dimension === "route" || dimension === "unit"))
      .map((limit) => ({ limit, buckets: bucketsOf(limit, traffic), asked: 0, bucket: "", index: 0 }));
  }

  add(index: number): void {
    const { routes } = this.#forecast;
    for (const watched of this.#watched) {
      for (const { name, parts } of watched.buckets) {
        let asked = 0;
        for (const [route, tokens] of parts) asked += (routes[route]?.[index] ?? 0) * tokens;
        if (asked > watched.asked) Object.assign(watched, { asked, bucket: name, index });
      }
    }
  }

  end(): LimitOutlook[] {
    return this.#watched.map(({ limit, asked, bucket, index }) => {
      const { name, rate, burst, scope, mode } = limit;
      const refuses = scope === "fleet" && mode === "enforce" && asked > rate + 1e-6;
      return { limit: name, rate, burst, asked, bucket, at: this.#forecast.times[index]!, scope, refuses };
    });
  }
}

function bucketsOf({ name, by }: Limit, { classes, lanes }: Traffic): Bucket[] {
  const buckets = new Map<string, Bucket>();
  for (const { class: of, share, way } of lanes) {
    const { decision } = way;
    if (decision === undefined) continue;
    for (const { route, part } of classes[of]!) {
      const { limits, cost } = route.spec;
      if (!limits.includes(name)) continue;
      const unit = decision.candidates[decision.first]!.unit.name;
      const key = by.map((dimension) => (dimension === "route" ? route.name : unit)).join(" ");
      let bucket = buckets.get(key);
      if (bucket === undefined) {
        bucket = { name: key, parts: new Map() };
        buckets.set(key, bucket);
      }
      bucket.parts.set(route.name, (bucket.parts.get(route.name) ?? 0) + part * share * cost);
    }
  }
  return [...buckets.values()];
}
