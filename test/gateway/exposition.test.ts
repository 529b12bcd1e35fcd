import assert from "node:assert/strict";
import { test } from "node:test";
import { DURATION_BUCKETS, MetricsRegistry } from "../../gateway/exposition.ts";
import { ThreadMetrics } from "../../gateway/metrics.ts";
import { OUTCOME } from "../../model/outcome.ts";
import type { CompiledRoute } from "../../model/table.ts";
import { poolOf, tableWith } from "./support.ts";

const table = tableWith(["http://a"]);
const route = table.routes[0]!;
const unit = poolOf(table).unit;

test("counts, buckets and gauges in Prometheus' text format", () => {
  const metrics = new ThreadMetrics();
  metrics.request(route, unit, "stable", 200, OUTCOME.success, 0.0005, false);
  metrics.request(route, unit, "stable", 200, OUTCOME.success, 0.3, false);
  metrics.request(route, unit, "canary", 503, OUTCOME.error, 99, false);
  metrics.request(route, undefined, "stable", 404, OUTCOME.refused, 0, false);
  metrics.attempt("hz", "answered");
  metrics.attempt("hz", "answered");
  metrics.count("tidegate_refused_total", 'cause="bad-host"');
  const registry = new MetricsRegistry();
  registry.add(metrics.take());
  registry.add(metrics.take()); // nothing new
  const text = registry.text(new Map([["tidegate_unit_healthy", [['unit="hz"', 1]]]]));
  const lines = text.split("\n");
  for (const line of [
    "# TYPE tidegate_requests_total counter",
    'tidegate_requests_total{route="hall",unit="hz",version="stable",code="200"} 2',
    'tidegate_requests_total{route="hall",unit="hz",version="canary",code="503"} 1',
    'tidegate_requests_total{route="hall",unit="",version="stable",code="404"} 1',
    'tidegate_attempts_total{unit="hz",outcome="answered"} 2',
    'tidegate_refused_total{cause="bad-host"} 1',
    "# TYPE tidegate_request_duration_seconds histogram",
    'tidegate_request_duration_seconds_bucket{route="hall",unit="hz",le="0.001"} 1',
    'tidegate_request_duration_seconds_bucket{route="hall",unit="hz",le="0.25"} 1',
    'tidegate_request_duration_seconds_bucket{route="hall",unit="hz",le="0.5"} 2',
    'tidegate_request_duration_seconds_bucket{route="hall",unit="hz",le="30"} 2',
    'tidegate_request_duration_seconds_bucket{route="hall",unit="hz",le="+Inf"} 3',
    'tidegate_request_duration_seconds_count{route="hall",unit="hz"} 3',
    "# TYPE tidegate_unit_healthy gauge",
    'tidegate_unit_healthy{unit="hz"} 1',
  ]) {
    assert.ok(lines.includes(line), `${line} is missing in\n${text}`);
  }
  assert.ok(text.endsWith("\n") && !text.endsWith("\n\n"));
  // Every line is a comment or a sample, and each family is announced once and before its samples.
  const announced = new Set<string>();
  for (const line of lines.slice(0, -1)) {
    const type = /^# TYPE (\S+) /.exec(line)?.[1];
    if (type !== undefined) {
      assert.ok(!announced.has(type), `${type} is announced twice`);
      announced.add(type);
    } else if (!line.startsWith("# HELP ")) {
      const name = /^([a-z_]+)(\{([a-z]+="[^"\n]*",?)+\})? [\d.e+-]+$/.exec(line)?.[1];
      assert.ok(name !== undefined, `not a sample: ${line}`);
      assert.ok(announced.has(name) || announced.has(name.replace(/_(bucket|sum|count)$/, "")), line);
    }
  }
});

test("a moment on a bound counts below it, as `le` says", () => {
  const metrics = new ThreadMetrics();
  for (const bound of DURATION_BUCKETS)
    metrics.request(route, unit, "stable", 200, OUTCOME.success, bound, false);
  const registry = new MetricsRegistry();
  registry.add(metrics.take());
  const text = registry.text(new Map());
  for (const [i, bound] of DURATION_BUCKETS.entries())
    assert.ok(text.includes(`le="${bound}"} ${i + 1}\n`), text);
});

test("a thread hands its counts over once", () => {
  const metrics = new ThreadMetrics();
  metrics.request(route, unit, "stable", 200, OUTCOME.success, 0.1, false);
  metrics.attempt("hz", "answered");
  metrics.count("a", "");
  const first = metrics.take();
  assert.deepEqual([first.requests.length, first.durations.length, first.counters.length], [1, 1, 2]);
  const second = metrics.take();
  assert.equal(second.requests.filter(([, , , , n]) => n > 0).length, 0);
  assert.equal(second.durations.length, 0);
  assert.equal(second.counters.filter(([, , n]) => n > 0).length, 0);
});

test("routes that no table has any more are forgotten; what they counted is not lost", () => {
  const metrics = new ThreadMetrics();
  metrics.request(route, unit, "stable", 200, OUTCOME.success, 0.1, false);
  const { requests } = metrics.take();
  metrics.keepOnly(new Set<CompiledRoute>());
  assert.equal(requests.length, 1);
  metrics.request(route, unit, "stable", 200, OUTCOME.success, 0.1, false); // a request that began with the old table
  assert.equal(metrics.take().requests.length, 1);
});

test("without bounds on names, the series beyond 50,000 are counted as one", () => {
  const registry = new MetricsRegistry();
  for (let i = 0; i < 50_010; i++) registry.count("tidegate_requests_total", `route="r${i}"`);
  const text = registry.text(new Map());
  assert.match(text, /^tidegate_requests_total\{route="_other"\} 10$/m);
  registry.count("tidegate_requests_total", 'route="r0"');
  assert.match(registry.text(new Map()), /^tidegate_requests_total\{route="r0"\} 2$/m);
});
