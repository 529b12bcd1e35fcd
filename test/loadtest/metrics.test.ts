import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { quantile } from "../../loadtest/demo/histogram.ts";
import { parseMetrics } from "../../loadtest/demo/metrics.ts";
import { compare, Window } from "../../loadtest/demo/window.ts";

describe("parseMetrics", () => {
  test("reads names, labels and values, and passes over comments and nonsense", () => {
    const text = `# HELP tidegate_requests_total Requests
# TYPE tidegate_requests_total counter
tidegate_requests_total{route="hall",unit="hz",version="stable",code="200"} 12
tidegate_snapshot_revision 7 1700000000000
up{} 1
lonely{le="+Inf",} 1e3
not a sample at all
bad{a="b" 1
`;
    assert.deepEqual(parseMetrics(text), [
      {
        name: "tidegate_requests_total",
        labels: { route: "hall", unit: "hz", version: "stable", code: "200" },
        value: 12,
      },
      { name: "tidegate_snapshot_revision", labels: {}, value: 7 },
      { name: "up", labels: {}, value: 1 },
      { name: "lonely", labels: { le: "+Inf" }, value: 1000 },
    ]);
  });

  test("reads escapes, and braces and commas inside of values", () => {
    const [sample] = parseMetrics(String.raw`m{a="x\"y\\z\nw",b="{1,2}",c=""} 3`);
    assert.deepEqual(sample, { name: "m", labels: { a: 'x"y\\z\nw', b: "{1,2}", c: "" }, value: 3 });
  });

  test("reads Go's infinities and NaN", () => {
    const values = parseMetrics("a +Inf\na -Inf\na NaN\na 0.5").map(({ value }) => value);
    assert.deepEqual(values, [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 0.5]);
  });
});

describe("quantile", () => {
  const buckets = (...entries: [number, number][]) => new Map(entries);
  const inf = Number.POSITIVE_INFINITY;

  test("interpolates within the bucket", () => {
    assert.equal(quantile(buckets([1, 0], [2, 100], [inf, 100]), 0.5), 1.5);
    assert.equal(quantile(buckets([1, 100], [2, 100], [inf, 100]), 0.99), 0.99);
    assert.equal(quantile(buckets([1, 90], [2, 100], [inf, 100]), 0.95), 1.5);
  });
  test("takes buckets in any order", () => {
    assert.equal(quantile(buckets([inf, 100], [2, 100], [1, 0]), 0.5), 1.5);
  });
  test("answers the last finite bound for what lies beyond it", () => {
    assert.equal(quantile(buckets([1, 10], [2, 10], [inf, 100]), 0.99), 2);
  });
  test("is undefined where nothing was counted", () => {
    assert.equal(quantile(new Map(), 0.99), undefined);
    assert.equal(quantile(buckets([1, 0], [inf, 0]), 0.99), undefined);
  });
});

const scrape = (at: number, text: string) => ({ at, samples: parseMetrics(text) });

describe("compare", () => {
  const older = scrape(
    0,
    `
tidegate_requests_total{route="hall",unit="hz",version="stable",code="200"} 100
tidegate_requests_total{route="hall",unit="sh",version="stable",code="200"} 50
tidegate_failovers_total{from="sh",to="hz",cause="refused"} 3
tidegate_request_duration_seconds_bucket{route="hall",unit="hz",le="0.01"} 100
tidegate_request_duration_seconds_bucket{route="hall",unit="hz",le="0.02"} 100
tidegate_request_duration_seconds_bucket{route="hall",unit="hz",le="+Inf"} 100
`,
  );
  const newer = scrape(
    5000,
    `
tidegate_requests_total{route="hall",unit="hz",version="stable",code="200"} 160
tidegate_requests_total{route="cart",unit="hz",version="canary",code="200"} 10
tidegate_requests_total{route="cart",unit="hz",version="stable",code="502"} 5
tidegate_requests_total{route="hall",unit="sh",version="stable",code="200"} 25
tidegate_requests_total{route="cart",unit="",version="stable",code="503"} 10
tidegate_failovers_total{from="sh",to="hz",cause="refused"} 10
tidegate_request_duration_seconds_bucket{route="hall",unit="hz",le="0.01"} 100
tidegate_request_duration_seconds_bucket{route="hall",unit="hz",le="0.02"} 160
tidegate_request_duration_seconds_bucket{route="hall",unit="hz",le="+Inf"} 160
tidegate_unit_healthy{unit="hz"} 1
tidegate_unit_healthy{unit="sh"} 0
tidegate_endpoint_healthy{service="hall",unit="hz",version="stable",endpoint="http://127.0.0.1:9101"} 1
tidegate_endpoint_healthy{service="hall",unit="sh",version="stable",endpoint="http://127.0.0.1:9201"} 0
`,
  );
  const figures = compare(older, newer, ["hz", "sh", "sz"]);

  test("a unit's rate, share, success and p99 are those of the time between the scrapes", () => {
    const hz = figures.units.get("hz")!;
    assert.deepEqual(
      { ...hz, p99: undefined },
      {
        healthy: true,
        rate: 15,
        share: 0.75,
        success: 70 / 75,
        p99: undefined,
        total: 175,
      },
    );
    assert.ok(Math.abs(hz.p99! - 19.9) < 1e-9);
  });
  test("a counter that began anew counts from zero", () => {
    assert.equal(figures.units.get("sh")!.rate, 5);
  });
  test("a unit without requests has a rate of 0 and no quotients", () => {
    assert.deepEqual(figures.units.get("sz"), {
      healthy: undefined,
      rate: 0,
      share: 0,
      success: undefined,
      p99: undefined,
      total: 0,
    });
  });
  test("endpoints, failovers, and what reached no unit", () => {
    assert.deepEqual(
      [...figures.endpoints],
      [
        [9101, true],
        [9201, false],
      ],
    );
    assert.deepEqual(figures.failovers, [{ from: "sh", to: "hz", cause: "refused", total: 10, recent: 7 }]);
    assert.equal(figures.unserved, 2);
  });
});

test("the window forgets what is older than its length", () => {
  const window = new Window(10_000);
  for (let second = 0; second <= 30; second++) {
    // Ten a second at first, two a second in the last ten.
    const total = second <= 20 ? second * 10 : 200 + (second - 20) * 2;
    window.add(scrape(second * 1000, `tidegate_requests_total{unit="hz",code="200"} ${total}`));
  }
  const hz = window.figures(["hz"]).units.get("hz")!;
  assert.equal(hz.rate, 2);
  assert.equal(hz.total, 220);
});
