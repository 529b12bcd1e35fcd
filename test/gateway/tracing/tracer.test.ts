/** Which requests are recorded, and what their units are told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RequestHead } from "../../../gateway/request-head.ts";
import type { Recorded } from "../../../gateway/tracing/recorded.ts";
import { MOST_WAITING, Tracer } from "../../../gateway/tracing/tracer.ts";
import { seededRandom } from "../../../model/clock.ts";
import { DEFAULT_GATEWAY_SETTINGS, DEFAULT_TRACING } from "../../../model/gateway-settings.ts";
import { OUTCOME } from "../../../model/outcome.ts";
import { HandClock, tableWith } from "../support.ts";

const GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0";

function stage(changes: Partial<typeof DEFAULT_TRACING> = {}, exports = true) {
  const clock = new HandClock();
  const tracer = new Tracer({
    clock,
    wallClock: () => 1_700_000_000_000,
    random: seededRandom(1),
    exports,
    threads: 1,
    salt: "s",
  });
  const table = tableWith(["http://a", "http://b"]);
  tracer.install(table, { ...DEFAULT_GATEWAY_SETTINGS, tracing: { ...DEFAULT_TRACING, ...changes } }, 7);
  const begin = (traceparent?: string): RequestHead => {
    const head = new RequestHead();
    head.traceparent = traceparent;
    tracer.begin(head);
    return head;
  };
  const [route] = table.routes;
  const [unit] = table.units;
  /** A request that took so long until its answer began, and as long again. */
  const end = (took: number, status = 200, more: object = {}): void => {
    const startedAt = clock.time;
    const { head = begin(`${GIVEN}0`), ...rest } = more as { head?: RequestHead };
    const outcome = status >= 500 ? OUTCOME.error : OUTCOME.success;
    const exchange = {
      identity: {
        head,
        startedAt,
        peer: { proto: "http" },
        headers: [],
        method: "GET",
        path: "/a",
        host: "",
        client: "c",
        httpVersion: "1.1",
      },
      decision: { route, home: 0, slot: -1, candidates: [], first: 0, panic: false },
      question: { table },
      candidates: { unit, pool: undefined },
      attempts: 1,
      last: { headAt: startedAt + took },
      tried: [],
      status,
      problem: "",
      isStress: false,
      failoverCause: "",
      ...rest,
    };
    tracer.settle(exchange as never, startedAt + 2 * took, (rest as { outcome?: number }).outcome ?? outcome);
  };
  const taken = (): readonly Recorded[] => tracer.take()?.recorded ?? [];
  return { clock, tracer, begin, end, taken };
}

test("without a collector a trace is passed on as it came, or begun and not sampled", () => {
  const { begin, tracer } = stage({ sample: 1 }, false);
  const given = begin(`${GIVEN}1`);
  assert.deepEqual(given.out, ["traceparent", `${GIVEN}1`]);
  assert.equal(tracer.attempt(given), "");
  assert.deepEqual(given.out, ["traceparent", `${GIVEN}1`]);
  assert.match(begin().out[1]!, /^00-\w{32}-\w{16}-00$/);
});

test("with one, each attempt is its own span of the client's trace", () => {
  const { begin, tracer } = stage({ sample: 0 });
  const head = begin(`${GIVEN}1`);
  const spans = [tracer.attempt(head), head.out[1], tracer.attempt(head), head.out[1]];
  assert.equal(spans[1], `${GIVEN.slice(0, 36)}${spans[0]}-01`);
  assert.equal(spans[3], `${GIVEN.slice(0, 36)}${spans[2]}-01`);
  assert.equal(new Set([spans[0], spans[2], head.traceparent!.slice(36, 52), "b7ad6b7169203331"]).size, 4);
  assert.equal(head.parent, `${GIVEN}1`);
  // Level 2 says so of a trace whose id is chance; later versions may be longer, and are passed on as version 0.
  assert.match(begin(`${GIVEN}2`).out[1]!, /-02$/);
  assert.match(begin(`cc${GIVEN.slice(2)}1-more`).out[1]!, /^00-\w{32}-\w{16}-01$/);
});

test("the share of new traces is kept, and a client's choice is followed within a bound", () => {
  const { begin, clock } = stage({ sample: 0.1, parents: 5 });
  const sampled = (many: number, given?: string): number =>
    Array.from({ length: many }, () => begin(given)).filter((head) => head.sampled).length;
  const share = sampled(10_000);
  assert.ok(share > 850 && share < 1_150, `${share}`);
  assert.equal(sampled(1_000, `${GIVEN}0`), 0);
  const followed = sampled(1_000, `${GIVEN}1`);
  assert.ok(followed > 60 && followed < 160, `5 and a tenth: ${followed}`);
  assert.equal(sampled(5, `${GIVEN}1`) < 5, true, "the second's are used up");
  clock.time += 1_000;
  assert.equal(sampled(5, `${GIVEN}1`), 5);
});

test("failed and slow requests are recorded whatever their client says; others are not", () => {
  const { end, taken, clock } = stage({ sample: 0, slow: 1_000 });
  end(5);
  end(1_001);
  end(5, 500);
  end(5, 404);
  assert.deepEqual(
    taken().map(({ kind, isExported, trace }) => [kind, isExported, trace.status, trace.revision]),
    [
      ["slow", true, 200, 7],
      ["failed", true, 500, 7],
    ],
  );
  // A long answer that began at once is a long answer.
  clock.time += 10_000;
  taken();
  end(50);
  assert.deepEqual(taken(), []);
});

test("the slowest below the bound are told of once their window is over", () => {
  const { end, taken, clock } = stage({ sample: 0, slow: 1_000 });
  for (const took of [99, 110, 300, 200, 150, 400, 120]) end(took);
  assert.deepEqual(taken(), []);
  clock.time += 10_000;
  const found = taken();
  assert.deepEqual(
    found.map(({ trace, kind, isExported }) => [trace.duration / 2, kind, isExported]),
    [
      [400, "slow", false],
      [300, "slow", false],
      [200, "slow", false],
    ],
  );
  end(110);
  clock.time += 10_000;
  assert.equal(taken().length, 1, "the next window begins anew");
});

test("an outage fills neither ring nor memory: so many of a route and unit, and the spans that found no place are counted", () => {
  const { end, tracer } = stage({ sample: 0 });
  for (let i = 0; i < MOST_WAITING + 50; i++) end(1, 500);
  const { recorded, dropped } = tracer.take()!;
  assert.deepEqual([recorded.length, dropped], [MOST_WAITING, 2 * 50]);
  assert.equal(recorded.filter(({ kind }) => kind === "failed").length, 8);
  assert.ok(recorded.every(({ isExported }) => isExported));
  assert.equal(tracer.take(), undefined);
});

test("what is refused on purpose, and stress, do not take the place of what is broken", () => {
  const { end, taken } = stage({ sample: 0 });
  for (let i = 0; i < 10; i++) end(1, 503, { outcome: OUTCOME.shed, problem: "shed" });
  for (let i = 0; i < 10; i++) end(1, 499, { outcome: OUTCOME.gone, problem: "client-closed" });
  end(1, 500, { isStress: true });
  end(1, 502);
  assert.deepEqual(
    taken().map(({ trace, isExported }) => [trace.status, isExported]),
    [
      [503, true],
      [503, true],
      [502, true],
    ],
  );
});

test("without a collector only the ring's are recorded", () => {
  const { end, taken, begin } = stage({ sample: 1 }, false);
  end(1, 200, { head: begin() });
  for (let i = 0; i < 20; i++) end(1, 500);
  const found = taken();
  assert.deepEqual([found.length, found.some(({ isExported }) => isExported)], [8, false]);
  assert.equal(new Set(found.map(({ trace }) => trace.spanId)).size, 8, "each has a span of its own");
});
