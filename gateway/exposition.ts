/** All threads' counts, kept for as long as the gateway runs, and their text for Prometheus. */
import { BOUNDS, BUCKETS, type Latencies } from "../model/latency-histogram.ts";
import type { Exemplars } from "./exemplars.ts";
import type { MetricsDelta } from "./metrics.ts";

/** Upper bounds in seconds. Fine where a gateway's answers lie, coarse where only "too slow" matters. */
export const DURATION_BUCKETS: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];
/** Bucket of a latency histogram, whose bounds are among these and finer → the bucket that is shown. */
const SHOWN = Array.from({ length: BUCKETS }, (_, bucket) => {
  const bound = BOUNDS[bucket] ?? Number.POSITIVE_INFINITY;
  const shown = DURATION_BUCKETS.findIndex((le) => bound <= le);
  return shown === -1 ? DURATION_BUCKETS.length : shown;
});

const PREFIX = "tidegate_";
export const STRESS_PREFIX = "tidegate_stress_";

/** Series beyond this are counted under the route `_other`, so that no configuration can fill the memory. */
const MOST_SERIES = 50_000;

interface Help {
  readonly type: "counter" | "gauge" | "histogram";
  readonly text: string;
}

const HELP: Readonly<Record<string, Help>> = {
  tidegate_requests_total: {
    type: "counter",
    text: "Requests answered, by route, unit, version and status.",
  },
  tidegate_request_duration_seconds: {
    type: "histogram",
    text: "Time from the request's header to the answer's end.",
  },
  tidegate_retried_total: {
    type: "counter",
    text: "Attempts that failed and were made again, by the version that failed.",
  },
  tidegate_attempts_total: { type: "counter", text: "Attempts at units, by outcome." },
  tidegate_failovers_total: { type: "counter", text: "Requests answered by another unit than their own." },
  tidegate_refused_total: { type: "counter", text: "Requests refused before a route was found, by cause." },
  tidegate_client_errors_total: { type: "counter", text: "Bytes from clients that were not HTTP, by cause." },
  tidegate_internal_errors_total: { type: "counter", text: "Defects of the gateway that cost a request." },
  tidegate_connections_refused_total: { type: "counter", text: "Client connections beyond the bound." },
  tidegate_retry_budget_exhausted_total: { type: "counter", text: "Retries that the budget forbade." },
  tidegate_ejections_total: {
    type: "counter",
    text: "Endpoints put aside because real traffic failed there.",
  },
  tidegate_access_log_dropped_total: {
    type: "counter",
    text: "Access records dropped because the log was behind.",
  },
  tidegate_spans_exported_total: { type: "counter", text: "Spans that the collector took." },
  tidegate_spans_dropped_total: {
    type: "counter",
    text: "Spans that no collector has: thread or queue were full, or it refused them.",
  },
  tidegate_error_traces_dropped_total: {
    type: "counter",
    text: "Error traces that the control plane was not told of.",
  },
  tidegate_thread_restarts_total: { type: "counter", text: "Traffic threads that died and were replaced." },
  tidegate_config_refused_total: {
    type: "counter",
    text: "Configurations that were invalid and not applied.",
  },
  tidegate_shed_total: {
    type: "counter",
    text: "Requests refused because their unit was busy, by priority and unit.",
  },
  tidegate_unit_limit: {
    type: "gauge",
    text: "Requests that a unit may have at work; 0 is the static bound.",
  },
  tidegate_unit_pending: { type: "gauge", text: "Requests that units are at work for." },
  tidegate_fallbacks_total: {
    type: "counter",
    text: "Requests that a route's fallback answered: static, redirect or stale.",
  },
  tidegate_limited_total: { type: "counter", text: "Requests that a limit refused." },
  tidegate_limit_dry_run_total: {
    type: "counter",
    text: "Requests that a limit in dry-run mode would have refused.",
  },
  tidegate_limit_store_up: {
    type: "gauge",
    text: "1 while fleet limits are leased from Redis, 0 while each gateway takes its share.",
  },
  tidegate_limit_gateways: { type: "gauge", text: "Gateways that share fleet limits, as last known." },
  tidegate_unit_healthy: { type: "gauge", text: "1 while every pool of the unit has a usable endpoint." },
  tidegate_endpoint_healthy: { type: "gauge", text: "1 while the endpoint may be used." },
  tidegate_breaker_state: { type: "gauge", text: "0 closed, 1 half-open, 2 open, as all threads see it." },
  tidegate_breaker_forced: { type: "gauge", text: "1 while an operator forces the breaker." },
  tidegate_snapshot_revision: { type: "gauge", text: "Revision that the slowest thread serves." },
  tidegate_upstream_inflight: { type: "gauge", text: "Requests under way, by unit." },
  tidegate_fenced_total: { type: "counter", text: "Writes that a fence held, or ended, by outcome." },
  tidegate_misdirected_total: { type: "counter", text: "Requests that a unit's guard refused, by cause." },
  tidegate_fence_held: { type: "gauge", text: "Writes held while their slots move." },
  tidegate_fence_awaited: {
    type: "gauge",
    text: "Fenced writes under way, which the acknowledgement awaits.",
  },
  tidegate_client_connections: { type: "gauge", text: "Client connections open." },
};

export type Gauges = ReadonlyMap<string, readonly (readonly [labels: string, value: number])[]>;

export class MetricsRegistry {
  readonly #counters = new Map<string, Map<string, number>>();
  /** Name → labels → histogram. */
  readonly #histograms = new Map<string, Map<string, { buckets: number[]; sum: number }>>();
  #series = 0;

  /** @param prefix of the names that it is counted under: stress traffic has its own */
  add(delta: MetricsDelta, prefix = PREFIX): void {
    for (const [route, unit, version, code, , n] of delta.requests) {
      this.count(
        `${prefix}requests_total`,
        `route="${route}",unit="${unit}",version="${version}",code="${code}"`,
        n,
      );
    }
    const durations = `${prefix}request_duration_seconds`;
    for (const [route, unit, , latencies, sum] of delta.durations) {
      this.#observe(durations, route, unit, latencies, sum);
    }
    for (const [name, labels, n] of delta.counters) {
      this.count(prefix === PREFIX ? name : name.replace(PREFIX, prefix), labels, n);
    }
  }

  count(name: string, labels: string, n = 1): void {
    let series = this.#counters.get(name);
    if (series === undefined) {
      series = new Map();
      this.#counters.set(name, series);
    }
    const key = series.has(labels) || this.#room() ? labels : 'route="_other"';
    series.set(key, (series.get(key) ?? 0) + n);
  }

  #room(): boolean {
    if (this.#series >= MOST_SERIES) return false;
    this.#series++;
    return true;
  }

  #observe(name: string, route: string, unit: string, latencies: Latencies, sum: number): void {
    let key = `route="${route}",unit="${unit}"`;
    let histograms = this.#histograms.get(name);
    if (histograms === undefined) {
      histograms = new Map();
      this.#histograms.set(name, histograms);
    }
    let histogram = histograms.get(key);
    if (histogram === undefined && !this.#room()) {
      key = 'route="_other"';
      histogram = histograms.get(key);
    }
    if (histogram === undefined) {
      histogram = { buckets: new Array(DURATION_BUCKETS.length + 1).fill(0), sum: 0 };
      histograms.set(key, histogram);
    }
    for (let i = 0; i < latencies.length; i += 2) {
      histogram.buckets[SHOWN[latencies[i]!]!]! += latencies[i + 1]!;
    }
    histogram.sum += sum;
  }

  /**
   * Prometheus text format 0.0.4; OpenMetrics 1.0 where exemplars are given.
   *
   * `le` is written the same in both: a scraper that changes over keeps its series.
   */
  text(gauges: Gauges, exemplars?: Exemplars): string {
    const lines: string[] = [];
    const isOpen = exemplars !== undefined;
    for (const [name, series] of this.#counters) {
      header(lines, name, isOpen);
      for (const [labels, n] of series) {
        lines.push(sample(name, labels, n) + (exemplars?.ofCounter(name, labels) ?? ""));
      }
    }
    for (const [name, histograms] of this.#histograms) {
      header(lines, name, isOpen);
      for (const [labels, { buckets, sum }] of histograms) {
        let total = 0;
        buckets.forEach((n, i) => {
          total += n;
          const le = i < DURATION_BUCKETS.length ? `${DURATION_BUCKETS[i]}` : "+Inf";
          const exemplar = n === 0 ? "" : (exemplars?.ofBucket(name, labels, i) ?? "");
          lines.push(`${name}_bucket{${labels},le="${le}"} ${total}${exemplar}`);
        });
        lines.push(sample(`${name}_sum`, labels, sum));
        lines.push(sample(`${name}_count`, labels, total));
      }
    }
    for (const [name, series] of gauges) {
      header(lines, name, isOpen);
      for (const [labels, value] of series) lines.push(sample(name, labels, value));
    }
    if (isOpen) lines.push("# EOF");
    return `${lines.join("\n")}\n`;
  }
}

function header(lines: string[], name: string, isOpen: boolean): void {
  const help = HELP[name] ?? helpOfStress(name);
  // OpenMetrics names a counter's family without the word that its samples end with.
  const family = isOpen && name.endsWith("_total") ? name.slice(0, -"_total".length) : name;
  const type = help?.type ?? (name.endsWith("_total") ? "counter" : undefined);
  if (help !== undefined) lines.push(`# HELP ${family} ${help.text}`);
  if (type !== undefined && (isOpen || help !== undefined)) lines.push(`# TYPE ${family} ${type}`);
}

/** What is counted of stress traffic means what it means of users. */
function helpOfStress(name: string): Help | undefined {
  const help = name.startsWith(STRESS_PREFIX) ? HELP[name.replace(STRESS_PREFIX, PREFIX)] : undefined;
  return help === undefined ? undefined : { type: help.type, text: `Stress traffic: ${help.text}` };
}

function sample(name: string, labels: string, value: number): string {
  return labels === "" ? `${name} ${value}` : `${name}{${labels}} ${value}`;
}
