/**
 * What the gateway's own metrics say about each unit over the last seconds: the difference of two scrapes.
 * Pure: the scrapes come with their time.
 */
import { type Buckets, quantile } from "./histogram.ts";
import { parseValue, type Sample } from "./metrics.ts";

export interface Scrape {
  /** Milliseconds of any one clock. */
  readonly at: number;
  readonly samples: readonly Sample[];
}

export interface UnitFigures {
  /** The gateway's verdict; undefined before it has one. */
  readonly healthy: boolean | undefined;
  /** Requests per second. */
  readonly rate: number;
  /** Of all requests that a unit answered, 0 to 1. */
  readonly share: number;
  /** Answers below 500, 0 to 1; undefined without requests. */
  readonly success: number | undefined;
  /** Milliseconds; undefined without requests. */
  readonly p99: number | undefined;
  /** Requests since the gateway started. */
  readonly total: number;
}

export interface Failover {
  readonly from: string;
  readonly to: string;
  readonly cause: string;
  /** Since the gateway started. */
  readonly total: number;
  /** Within the window. */
  readonly recent: number;
}

export interface Figures {
  readonly units: ReadonlyMap<string, UnitFigures>;
  /** Port → the gateway's verdict about the endpoint. */
  readonly endpoints: ReadonlyMap<number, boolean>;
  readonly failovers: readonly Failover[];
  /** Requests per second that reached no unit. */
  readonly unserved: number;
}

/** Keeps as many scrapes as the window needs. */
export class Window {
  readonly #length: number;
  #scrapes: Scrape[] = [];

  /** @param length milliseconds */
  constructor(length: number) {
    this.#length = length;
  }

  add(scrape: Scrape): void {
    this.#scrapes.push(scrape);
    const start = scrape.at - this.#length;
    // The last scrape before the window stays: the difference to it covers the whole window.
    while (this.#scrapes.length > 2 && this.#scrapes[1]!.at <= start) this.#scrapes.shift();
  }

  figures(units: readonly string[]): Figures {
    const newest = this.#scrapes.at(-1) ?? { at: 0, samples: [] };
    return compare(this.#scrapes[0] ?? newest, newest, units);
  }
}

export function compare(older: Scrape, newer: Scrape, units: readonly string[]): Figures {
  const seconds = Math.max((newer.at - older.at) / 1000, 0.001);
  const before = new Map(older.samples.map((sample) => [keyOf(sample), sample.value]));
  /** A counter that is lower than before began anew. */
  const grown = (sample: Sample) => {
    const was = before.get(keyOf(sample)) ?? 0;
    return sample.value >= was ? sample.value - was : sample.value;
  };

  const tallies = new Map(units.map((unit) => [unit, new Tally()]));
  const endpoints = new Map<number, boolean>();
  const failovers: Failover[] = [];
  let unserved = 0;
  for (const sample of newer.samples) {
    const { name, labels, value } = sample;
    const tally = tallies.get(labels.unit ?? "");
    switch (name) {
      case "tidegate_requests_total":
        if (tally === undefined) unserved += grown(sample);
        else tally.count(value, grown(sample), labels.code ?? "");
        break;
      case "tidegate_request_duration_seconds_bucket":
        tally?.observe(parseValue(labels.le ?? ""), grown(sample));
        break;
      case "tidegate_unit_healthy":
        // A unit may be reported once for each service: one that is ill makes it ill.
        if (tally !== undefined) tally.healthy = value === 1 && tally.healthy !== false;
        break;
      case "tidegate_endpoint_healthy": {
        const port = Number(/:(\d+)$/.exec(labels.endpoint ?? "")?.[1]);
        endpoints.set(port, value === 1 && endpoints.get(port) !== false);
        break;
      }
      case "tidegate_failovers_total": {
        const { from = "", to = "", cause = "" } = labels;
        failovers.push({ from, to, cause, total: value, recent: grown(sample) });
        break;
      }
    }
  }

  const served = [...tallies.values()].reduce((sum, tally) => sum + tally.recent, 0);
  return {
    units: new Map([...tallies].map(([unit, tally]) => [unit, tally.figures(seconds, served)])),
    endpoints,
    failovers,
    unserved: unserved / seconds,
  };
}

/** One unit's sums over its routes and versions. */
class Tally {
  healthy: boolean | undefined;
  recent = 0;
  #total = 0;
  #good = 0;
  readonly #buckets = new Map<number, number>();

  count(total: number, recent: number, code: string): void {
    this.#total += total;
    this.recent += recent;
    if (!code.startsWith("5")) this.#good += recent;
  }

  observe(bound: number, n: number): void {
    this.#buckets.set(bound, (this.#buckets.get(bound) ?? 0) + n);
  }

  figures(seconds: number, served: number): UnitFigures {
    const p99 = quantile(this.#buckets as Buckets, 0.99);
    return {
      healthy: this.healthy,
      rate: this.recent / seconds,
      share: served === 0 ? 0 : this.recent / served,
      success: this.recent === 0 ? undefined : this.#good / this.recent,
      p99: p99 === undefined ? undefined : p99 * 1000,
      total: this.#total,
    };
  }
}

function keyOf({ name, labels }: Sample): string {
  return name + Object.entries(labels).join(";");
}
