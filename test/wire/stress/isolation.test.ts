/** Stress traffic: what a mark has to be, where what carries it goes, and that users notice nothing of it. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import type http from "node:http";
import { test } from "node:test";
import { STRESS_HEADER } from "../../../model/stress-mark.ts";
import { raw, until } from "../../support/gateway.ts";
import { keyOf } from "../failover/fleet.ts";
import { mark, marked, scriptedUnits, startStressed, statuses, tally, tell, UNITS } from "./support.ts";

test("what is no mark of this fleet, now, is refused, and reaches no unit", async (t) => {
  const units = await scriptedUnits(t);
  const gateway = await startStressed(t, units);
  const good = mark();
  const [front, signature] = good.split(";sig=") as [string, string];
  const otherKey = generateKeyPairSync("ed25519").privateKey;
  const bad: Record<string, string> = {
    "a word": "1",
    nothing: "",
    "the run alone": "evening-1",
    "another unit under the same signature": good.replace("unit=sh", "unit=hz"),
    "a longer life under the same signature": good.replace(
      /exp=(\d+)/,
      (_, exp) => `exp=${Number(exp) + 60}`,
    ),
    "no rate under the signature of one": mark({ rate: 10 }).replace(";rate=10", ""),
    "a signature of zeros": `${front};sig=${"A".repeat(86)}`,
    "half a signature": `${front};sig=${signature.slice(0, 43)}`,
    "its fields in another order": good.replace(/(fleet=\w+);(unit=\w+)/, "$2;$1"),
    "a field twice": good.replace(";run=", ";unit=sh;run="),
    "another key": mark({}, otherKey),
    "another key under the known name": mark({}, otherKey).replace(/kid=[\w-]+/, /kid=[\w-]+/.exec(good)![0]),
    "another fleet": mark({ fleet: "staging" }),
    "an expired one": mark({ expires: Date.now() - 2_000 }),
    "one for a day": mark({ expires: Date.now() + 24 * 3_600_000 }),
    "two in one": `${good}, ${good}`,
    "a long one": `${good}${"x".repeat(2_000)}`,
  };
  for (const [what, text] of Object.entries(bad)) {
    const { status, type } = await marked(gateway, "/hall/1", text);
    assert.deepEqual([status, type], [403, "stress-mark"], what);
  }
  const twice = `GET /hall/1 HTTP/1.1\r\nHost: a\r\n${STRESS_HEADER}: ${good}\r\n${STRESS_HEADER}: ${good}\r\nConnection: close\r\n\r\n`;
  assert.match(await raw(gateway.port, twice), /^HTTP\/1\.1 403 .*urn:tidegate:problem:stress-mark/s);
  const upgrade = `GET /hall/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${STRESS_HEADER}: 1\r\n\r\n`;
  assert.match(await raw(gateway.port, upgrade), /^HTTP\/1\.1 403 /);
  for (const name of UNITS) assert.equal(units[name].seen.length, 0, name);
  const refusals = Object.keys(bad).length + 2;
  assert.equal(await gateway.metric("tidegate_refused_total", 'cause="stress-mark"'), refusals);
  assert.equal(await gateway.metric("tidegate_requests_total"), 0);
  assert.equal(await gateway.metric("tidegate_stress_requests_total"), 0);

  assert.equal((await marked(gateway, "/hall/1", good)).status, 200, "and a good one passes");
  assert.equal((await tell(gateway, "/hall/1")).status, 200, "and so does a user");
});

test("a flood of forged marks ends neither a test under way nor users' requests", async (t) => {
  const units = await scriptedUnits(t);
  const gateway = await startStressed(t, units);
  const good = mark();
  assert.equal((await marked(gateway, "/hall/1", good)).status, 200);
  const front = good.slice(0, good.indexOf(";sig="));
  // Well-formed, under a known key: only the signature says that they are forged.
  const forged = (i: number): string => `${front};sig=${`${i}`.padStart(85, "B")}A`;
  const answers: string[] = [];
  await statuses(400, async (i) => {
    const told = await marked(gateway, "/hall/1", forged(i));
    answers.push(told.text);
    assert.equal(told.type, "stress-mark");
    return told;
  });
  assert.ok(
    answers.some((text) => text.includes("came at once")),
    "most are refused without a look at their signature",
  );
  assert.equal((await marked(gateway, "/hall/1", good)).status, 200);
  assert.equal((await tell(gateway, "/hall/1")).status, 200);
  await until(
    "a new mark passes again",
    async () => (await marked(gateway, "/hall/1", mark({ run: "next" }))).status === 200,
  );
});

test("stress traffic goes to its unit, whosever key it carries, and says so there", async (t) => {
  const units = await scriptedUnits(t);
  const gateway = await startStressed(t, units);
  const keys = await Promise.all(UNITS.map((unit) => keyOf(gateway, unit)));
  const text = mark();
  for (const path of ["/hall/1", "/orders/1", ...keys.map((key) => `/cart/1?uid=${key}`)]) {
    for (const method of ["GET", "POST"]) {
      assert.equal((await marked(gateway, path, text, {}, method)).status, 200, `${method} ${path}`);
    }
  }
  assert.deepEqual([units.hz.seen.length, units.sz.seen.length], [0, 0]);
  assert.equal(units.sh.seen.length, 10);
  for (const { headers } of units.sh.seen) {
    assert.equal(headers[STRESS_HEADER], text);
    assert.equal(headers.baggage, "tidegate.stress=evening-1");
    assert.equal(headers["x-tidegate-unit"], "sh");
  }
  const slots = units.sh.seen.filter(({ headers }) => headers["x-tidegate-slot"] !== undefined);
  assert.deepEqual(
    slots.map(({ url }) => url),
    [`/cart/1?uid=${keys[1]}`, `/cart/1?uid=${keys[1]}`],
    "a slot only where it is the unit's own",
  );

  await marked(gateway, "/hall/2", text, { baggage: "a=1,tidegate.stress=other, b=2;p" });
  assert.equal(units.sh.seen.at(-1)!.headers.baggage, "a=1, b=2;p,tidegate.stress=evening-1");
  await tell(gateway, "/hall/3", { baggage: "a=1,tidegate.stress=other" });
  const user = units.hz.seen.at(-1)!.headers;
  assert.deepEqual([user.baggage, user[STRESS_HEADER]], ["a=1", undefined], "no user can say it of itself");
});

test("stress traffic of a unit that is down, or is none, is refused: no failover, no fallback", async (t) => {
  const units = await scriptedUnits(t);
  const gateway = await startStressed(t, units, {
    route: "fallback: { stale: 10m, status: 200, body: sorry }",
  });
  const nowhere = await marked(gateway, "/hall/1", mark({ unit: "gz" }));
  assert.deepEqual([nowhere.status, nowhere.type], [403, "stress-mark"]);
  assert.match(nowhere.text, /there is no unit gz/);

  assert.equal((await marked(gateway, "/hall/1")).status, 200);
  units.sh.close();
  const before = units.hz.seen.length + units.sz.seen.length;
  const first = await marked(gateway, "/hall/1");
  assert.ok(first.status >= 502 && first.type !== "", `${first.status} ${first.text}`);
  await until("the gateway knows that sh is down", async () => {
    const told = await marked(gateway, "/hall/1");
    return told.status === 503 && told.type === "no-healthy-unit";
  });
  assert.equal(units.hz.seen.length + units.sz.seen.length, before, "nobody else got any of it");
  assert.equal(await gateway.metric("tidegate_stress_fallbacks_total"), 0);
  assert.equal(await gateway.metric("tidegate_failovers_total"), 0);
  const user = await tell(gateway, `/cart/1?uid=${await keyOf(gateway, "sh")}`);
  assert.deepEqual([user.status, user.text], [200, "ok"], "a user of the unit fails over as ever");
});

test("what stress traffic does to a unit opens no breaker, ejects nobody and is in no figure of users", async (t) => {
  const units = await scriptedUnits(t);
  const gateway = await startStressed(t, units, {
    route: "breaker: { errors: 50%, volume: 10, window: 10s, open: 60s }, limits: [ few ]",
    service: "    outlier: { consecutive: 5 }\n",
    twins: true,
    limits: "  few: { rate: 1/m, burst: 70, by: [ route, unit ] }",
  });
  const key = await keyOf(gateway, "sh");
  units.sh.answer = (request, response) => {
    response.statusCode = request.headers[STRESS_HEADER] === undefined ? 200 : 503;
    response.end();
  };
  const text = mark();
  const stressed = await statuses(300, (i) => marked(gateway, `/cart/${i}?uid=${key}`, text));
  assert.deepEqual(tally(stressed), { 503: 300 });
  assert.equal(units.sh.stressed.length, 300, "once each: nothing was retried");
  assert.equal(units.hz.seen.length + units.sz.seen.length, 0);
  const users = await statuses(20, () => tell(gateway, `/cart/1?uid=${key}`));
  assert.deepEqual(tally(users), { 200: 20 }, "their limit was not spent either");

  assert.equal(await gateway.metric("tidegate_requests_total"), 20);
  assert.equal(await gateway.metric("tidegate_requests_total", 'code="200"'), 20);
  assert.equal(await gateway.metric("tidegate_request_duration_seconds_count"), 20);
  assert.equal(await gateway.metric("tidegate_attempts_total"), 20);
  assert.equal(await gateway.metric("tidegate_stress_requests_total", 'unit="sh"', 'code="503"'), 300);
  assert.equal(await gateway.metric("tidegate_stress_request_duration_seconds_count"), 300);
  assert.equal(await gateway.metric("tidegate_breaker_state"), 0);
  assert.equal(await gateway.metric("tidegate_ejections_total"), 0);
  assert.equal(await gateway.metric("tidegate_retry_budget_exhausted_total"), 0);

  // The same of users does all of it: what is said above can be seen.
  units.sh.answer = (_request, response) => {
    response.statusCode = 503;
    response.end();
  };
  await gateway.admin("/metrics");
  await statuses(50, () => tell(gateway, `/cart/1?uid=${key}`, {}, "POST"));
  await until(
    "the breaker is open",
    async () => (await gateway.metric("tidegate_breaker_state", 'unit="sh"')) === 2,
  );
  await until("sh is ejected", async () => (await gateway.metric("tidegate_ejections_total")) > 0);
});

test("where a unit has one place left, stress traffic is shed, and a user has it", async (t) => {
  const units = await scriptedUnits(t);
  const gateway = await startStressed(t, units, {
    unit: "concurrency: fixed, inflight: 20, queue: { size: 4, wait: 5s }",
  });
  const held: http.ServerResponse[] = [];
  units.sh.answer = (_request, response) => held.push(response);
  const key = await keyOf(gateway, "sh");
  const text = mark();
  const stressed = Array.from({ length: 25 }, (_, i) => marked(gateway, `/cart/${i}?uid=${key}`, text));
  const shed = await Promise.all(
    await until(
      "the unit is full of it",
      async () => {
        const done = await Promise.all(stressed.map((one) => Promise.race([one, undefined])));
        return done.filter((one) => one !== undefined);
      },
      (done) => done.length === 6 && held.length === 19,
    ),
  );
  assert.deepEqual(
    shed.map(({ status, type }) => [status, type]),
    Array.from({ length: 6 }, () => [503, "shed"]),
  );
  const first = tell(gateway, `/cart/a?uid=${key}`, {}, "POST");
  await until("a user has the last place", () => held.length === 20);
  const second = tell(gateway, `/cart/b?uid=${key}`, {}, "POST");
  // Nobody sees a request that waits from outside but by the stress traffic, which is shed either way.
  await new Promise((resolve) => setTimeout(resolve, 100));
  for (const response of held.splice(0, 3)) response.end("done");
  await until("the next user has the place that is free", () =>
    units.sh.seen.some(({ url }) => url.startsWith("/cart/b")),
  );
  for (const response of held) response.end("done");
  assert.deepEqual([(await first).status, (await second).status], [200, 200]);
  for (const response of held) response.end();
  assert.equal(tally((await Promise.all(stressed)).map(({ status }) => status))[200], 19);
  assert.equal(await gateway.metric("tidegate_shed_total"), 0);
  assert.equal(await gateway.metric("tidegate_stress_shed_total", 'unit="sh"'), 6);
});

test("stress traffic has limits of its own: the mark's, and the gateway's for a unit", async (t) => {
  const units = await scriptedUnits(t);
  const gateway = await startStressed(t, units, { stress: "limit: 20/s" });
  const slow = mark({ run: "slow", rate: 1 });
  const began = performance.now();
  const answers = tally(await statuses(40, () => marked(gateway, "/hall/1", slow)));
  const seconds = (performance.now() - began) / 1_000;
  // Ten at once, and one a second.
  assert.ok(answers[200]! >= 10 && answers[200]! <= 11 + seconds, JSON.stringify({ answers, seconds }));
  assert.equal(answers[429], 40 - answers[200]!);
  const other = mark({ run: "other" });
  const rest = await until(
    "the unit's own limit refuses",
    async () => tally(await statuses(40, () => marked(gateway, "/hall/1", other))),
    (seen) => (seen[429] ?? 0) > 0,
  );
  assert.ok((rest[200] ?? 0) > 0, "the slow run has not spent what the unit may have");
  assert.equal(
    (await marked(gateway, "/hall/1", mark({ unit: "hz" }))).status,
    200,
    "another unit has its own",
  );
  assert.equal((await tell(gateway, "/hall/1")).status, 200);
  assert.equal(await gateway.metric("tidegate_limited_total"), 0);
  assert.ok((await gateway.metric("tidegate_stress_limited_total", 'unit="sh"')) > 29);
});

test("no answer to stress traffic is kept for users", async (t) => {
  const units = await scriptedUnits(t);
  const gateway = await startStressed(t, units, { route: "fallback: { stale: 10m }" });
  const key = await keyOf(gateway, "sz");
  units.sz.answer = (request, response) =>
    response.end(request.headers[STRESS_HEADER] === undefined ? "user" : "stress");
  const text = mark({ unit: "sz" });
  assert.equal((await marked(gateway, `/cart/kept?uid=${key}`, text)).text, "stress");
  for (const name of UNITS) units[name].close();
  const user = await tell(gateway, `/cart/kept?uid=${key}`);
  assert.deepEqual([user.status >= 500, user.type === ""], [true, false]);
});

test("a key that is taken out of the configuration ends its marks", async (t) => {
  const units = await scriptedUnits(t);
  const gateway = await startStressed(t, units);
  const text = mark();
  assert.equal((await marked(gateway, "/hall/1", text)).status, 200);
  gateway.write("gateway.yaml", "stress: { keys: [] }\n");
  gateway.process.kill("SIGHUP");
  await until("it is refused", async () => (await marked(gateway, "/hall/1", text)).type === "stress-mark");
});
