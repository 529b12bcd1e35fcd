/** What a gateway makes of a 421: a guard's is corrected once, where that is safe; anybody else's is passed on. */
import assert from "node:assert/strict";
import http from "node:http";
import { type TestContext, test } from "node:test";
import { slotOf } from "../../../model/hash.ts";
import { fleetYaml, raw, startGateway, type TestGateway, until } from "../../support/gateway.ts";
import { ask, problemOf } from "../forwarding/support.ts";
import { STRESS_HEADER } from "../../../model/stress-mark.ts";
import { mark, ScriptedUnit, scriptedUnits, startStressed, type UnitName } from "../stress/support.ts";

const NAMES: readonly UnitName[] = ["hz", "sh", "sz"];
/** A user of hz. */
const USER = Array.from({ length: 999 }, (_, i) => `u${i}`).find((user) => slotOf(user, 1024) < 100)!;
const ASK = { method: "POST", path: "/cart/x", headers: { "x-user-id": USER } };

interface Fleet {
  readonly gateway: TestGateway;
  readonly units: Readonly<Record<UnitName, ScriptedUnit>>;
  /** All of hz's slots are sz's from now on. */
  readonly move: () => void;
  /** Bodies of the writes that a unit took. */
  readonly bodies: string[];
}

/** A guard that refuses, before it has read anything. */
function refuse(cause: string): http.RequestListener {
  return (_request, response) =>
    response
      .writeHead(421, { "x-tidegate-guard": cause, "content-type": "application/problem+json" })
      .end("{}");
}

async function fleet(t: TestContext, route = "", gatewayYaml = ""): Promise<Fleet> {
  const bodies: string[] = [];
  const all = NAMES.map(async (name) => {
    const unit = await new ScriptedUnit().listen(t);
    unit.answer = (request, response) => {
      let text = "";
      request.on("data", (chunk) => {
        text += chunk;
      });
      request.on("end", () => {
        if (request.method !== "GET") bodies.push(text);
        response.end(name);
      });
    };
    return [name, unit] as const;
  });
  const units = Object.fromEntries(await Promise.all(all)) as Fleet["units"];
  const yaml = fleetYaml(Object.fromEntries(NAMES.map((name) => [name, [units[name].url]])));
  const gateway = await startGateway(t, {
    "fleet.yaml": yaml,
    "routes.yaml": `routes:
  - { name: cart, match: { path: /cart/* }, service: hall, scope: sharded${route} }
limits:
  once: { rate: 1/h, burst: 1, by: [ client ], scope: gateway }
`,
    "gateway.yaml": gatewayYaml,
  });
  const move = (): void => {
    gateway.write("fleet.yaml", yaml.replace(/map: .*\n/, 'map: { sh: 341-681, sz: "0-340,682-1023" }\n'));
    gateway.process.kill("SIGHUP");
  };
  return { gateway, units, move, bodies };
}

const misdirected = (gateway: TestGateway): Promise<number> => gateway.metric("tidegate_misdirected_total");

test("a 421 that no guard marked is the application's own, and is passed on", async (t) => {
  const { gateway, units } = await fleet(t);
  units.hz.answer = (_request, response) => response.writeHead(421, { "x-own": "yes" }).end("mine");
  const answer = await ask(gateway.port, ASK);
  assert.deepEqual([answer.status, answer.text, answer.headers["x-own"]], [421, "mine", "yes"]);
  units.hz.answer = refuse("rubbish");
  assert.equal((await ask(gateway.port, ASK)).status, 421);
  assert.equal(units.hz.seen.filter(({ url }) => url === "/cart/x").length, 2);
  assert.equal(await misdirected(gateway), 0);
});

test("a refused write waits for the table that sends it elsewhere, and goes there whole", async (t) => {
  const { gateway, units, move, bodies } = await fleet(t, ", limits: [ once ]");
  units.hz.answer = refuse("elsewhere");
  const answer = ask(gateway.port, { ...ASK, body: "a whole body" });
  await until(
    "it waits",
    () => misdirected(gateway),
    (n) => n === 1,
  );
  assert.deepEqual(bodies, []);
  const began = performance.now();
  move();
  const { status, text } = await answer;
  // Of a limit it takes what one request takes.
  assert.deepEqual([status, text], [200, "sz"]);
  assert.ok(performance.now() - began < 1_500, "as soon as the table is there");
  assert.deepEqual(bodies, ["a whole body"]);
  const sent = units.sz.seen.at(-1)!.headers;
  assert.deepEqual([sent["x-tidegate-unit"], sent["content-length"]], ["sz", "12"]);
  assert.equal(await gateway.metric("tidegate_requests_total", 'route="cart"'), 1, "one request");
  assert.equal(await gateway.metric("tidegate_requests_total", 'unit="sz"', 'code="200"'), 1);
  assert.equal(await gateway.metric("tidegate_attempts_total", 'outcome="misdirected"'), 1);
  assert.equal(await gateway.metric("tidegate_upstream_inflight", 'unit="hz"'), 0);
});

test("bodies that are still on their way go with it: chunked, and by Expect", async (t) => {
  const { gateway, units, move, bodies } = await fleet(t);
  units.hz.answer = refuse("older");
  const head = `POST /cart/x HTTP/1.1\r\nhost: x\r\nx-user-id: ${USER}\r\n`;
  const whole = (text: string): boolean => text.includes("\r\n\r\nsz");
  const chunked = new Promise<string>((resolve, reject) => {
    const request = http.request({
      ...{ host: "127.0.0.1", port: gateway.port, method: "POST", path: "/cart/x", agent: false },
      headers: { "x-user-id": USER },
    });
    request.on("error", reject);
    request.on("response", (response) => {
      response.on("data", (chunk) => resolve(`${response.statusCode} ${chunk}`));
    });
    request.write("one ");
    void until(
      "it waits",
      () => misdirected(gateway),
      (n) => n === 2,
    ).then(() => request.end("two"));
  });
  const expecting = raw(
    gateway.port,
    `${head}expect: 100-continue\r\ncontent-length: 5\r\nconnection: close\r\n\r\nthree`,
    whole,
  );
  await until(
    "they wait",
    () => misdirected(gateway),
    (n) => n === 2,
  );
  move();
  assert.equal(await chunked, "200 sz");
  const answer = await expecting;
  assert.match(answer, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK/);
  assert.equal(answer.match(/100 Continue/g)!.length, 1);
  assert.deepEqual(bodies.sort(), ["one two", "three"]);
});

test("one that no table helps is tried once more and answered 503; nobody counts it against the unit", async (t) => {
  const { gateway, units } = await fleet(
    t,
    ", breaker: { errors: 10%, volume: 2, window: 10s, open: 5s }, retry: { attempts: 3, on: [ 503 ] }",
  );
  units.hz.answer = refuse("closed");
  const began = performance.now();
  const answers = await Promise.all(Array.from({ length: 12 }, () => ask(gateway.port, ASK)));
  const took = performance.now() - began;
  for (const answer of answers) {
    assert.deepEqual([answer.status, problemOf(answer)], [503, "misdirected"]);
    assert.equal(answer.headers["retry-after"], "1");
    assert.match(
      JSON.parse(answer.text).detail,
      /unit hz refused it, and did nothing, also when it was sent/,
    );
  }
  assert.ok(took > 1_900, `it waited: ${took}`);
  assert.equal(units.hz.seen.filter(({ url }) => url === "/cart/x").length, 24);
  // A guard that was only behind heals it.
  let refusals = 1;
  const late: http.RequestListener = (request, response) =>
    refusals-- > 0 ? refuse("fenced")(request, response) : response.end("hz");
  units.hz.answer = late;
  const healed = await ask(gateway.port, ASK);
  assert.deepEqual([healed.status, healed.text], [200, "hz"]);
  const { endpoints } = await gateway.status();
  assert.deepEqual([...new Set(endpoints.map(({ health }) => health))], ["up"]);
  assert.equal(await gateway.metric("tidegate_breaker_state", 'unit="hz"'), 0);
});

test("what cannot be sent again is refused at once: a large body, and a unit that says it is another", async (t) => {
  const { gateway, units } = await fleet(t);
  units.hz.answer = (request, response) => {
    request.once("data", () => refuse("closed")(request, response));
    request.resume();
  };
  const began = performance.now();
  const large = await ask(gateway.port, { ...ASK, body: Buffer.alloc(1_000_000) });
  assert.deepEqual([large.status, problemOf(large)], [503, "misdirected"]);
  assert.match(JSON.parse(large.text).detail, /its body is too large to be sent again/);
  units.hz.answer = refuse("unit");
  const other = await ask(gateway.port, ASK);
  assert.deepEqual([other.status, problemOf(other)], [503, "misdirected"]);
  assert.match(JSON.parse(other.text).detail, /its guard says that it is another unit/);
  assert.ok(performance.now() - began < 1_500);
});

test("a client that leaves while it waits leaves nothing behind", async (t) => {
  const { gateway, units, move, bodies } = await fleet(t);
  units.hz.answer = refuse("closed");
  const request = http.request({ ...ASK, host: "127.0.0.1", port: gateway.port, agent: false });
  request.on("error", () => {});
  request.end("never");
  await until(
    "it waits",
    () => misdirected(gateway),
    (n) => n === 1,
  );
  request.destroy();
  await until(
    "it is counted",
    () => gateway.metric("tidegate_requests_total", 'code="499"'),
    (n) => n === 1,
  );
  move();
  await until(
    "the table is there",
    () => gateway.status(),
    ({ servedRevision }) => servedRevision === 2,
  );
  assert.equal((await ask(gateway.port, { ...ASK, body: "next" })).text, "sz");
  assert.deepEqual(bodies, ["next"]);
});

test("stress traffic sees what the guard said", async (t) => {
  const units = await scriptedUnits(t);
  const gateway = await startStressed(t, units);
  units.sh.answer = refuse("closed");
  const began = performance.now();
  const answer = await ask(gateway.port, { ...ASK, headers: { "x-user-id": USER, [STRESS_HEADER]: mark() } });
  assert.deepEqual([answer.status, answer.headers["x-tidegate-guard"]], [421, "closed"]);
  assert.ok(performance.now() - began < 1_500);
  assert.equal(units.sh.stressed.length, 1);
  assert.equal(await misdirected(gateway), 0);
});
