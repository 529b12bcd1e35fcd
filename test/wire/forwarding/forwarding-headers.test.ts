/** What the gateway says of the client and of itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fleetYaml, ROUTES, startGateway } from "../../support/gateway.ts";
import { ask, sampleUnit, valuesOf } from "./support.ts";

const PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

test("forwarding fields", async (t) => {
  const unit = await sampleUnit(t);
  const start = (trust: string) =>
    startGateway(t, {
      "fleet.yaml": fleetYaml({ hz: [unit.origin] }).replace("slots: 1024", "slots: 1024\n  epoch: 7"),
      "routes.yaml": ROUTES,
      "gateway.yaml": trust,
    });
  const [strict, trusting] = await Promise.all([start("trust: []"), start("trust: [ 127.0.0.0/8 ]")]);
  const see = async (port: number, path: string, headers: string[]) => {
    const answer = await ask(port, { path, headers });
    assert.equal(answer.status, 200, answer.text);
    const { rawHeaders } = JSON.parse(answer.text) as { rawHeaders: string[] };
    return (name: string) => valuesOf(rawHeaders, name);
  };
  const CLAIMS = [
    "host",
    "Shop.test:99",
    "x-forwarded-for",
    "6.6.6.6",
    "x-forwarded-proto",
    "https",
    "x-forwarded-host",
    "evil.test",
    "x-forwarded-port",
    "1",
    "x-real-ip",
    "6.6.6.6",
    "forwarded",
    "for=6.6.6.6",
    "via",
    "1.0 cache",
    "x-tidegate-unit",
    "sz",
    "x-tidegate-slot",
    "1",
    "x-tidegate-epoch",
    "99",
  ];

  await t.test("a stranger's claims are replaced", async () => {
    const of = await see(strict.port, "/hall/x", CLAIMS);
    assert.deepEqual(of("host"), ["Shop.test:99"]);
    assert.deepEqual(of("x-forwarded-for"), ["127.0.0.1"]);
    assert.deepEqual(of("x-forwarded-proto"), ["http"]);
    assert.deepEqual(of("x-forwarded-host"), ["Shop.test:99"]);
    assert.deepEqual(of("x-forwarded-port"), []);
    assert.deepEqual(of("x-real-ip"), []);
    assert.deepEqual(of("forwarded"), ['for=127.0.0.1;proto=http;host="Shop.test:99"']);
    assert.deepEqual(of("via"), ["1.0 cache, 1.1 tidegate"]);
    assert.deepEqual(of("x-tidegate-unit"), ["hz"]);
    assert.deepEqual(of("x-tidegate-slot"), []);
    assert.deepEqual(of("x-tidegate-epoch"), ["7"]);
  });

  await t.test("a trusted peer's claims are kept and appended to, its placement is not", async () => {
    const of = await see(trusting.port, "/hall/x", CLAIMS);
    assert.deepEqual(of("x-forwarded-for"), ["6.6.6.6, 127.0.0.1"]);
    assert.deepEqual(of("x-forwarded-proto"), ["https"]);
    assert.deepEqual(of("x-forwarded-host"), ["evil.test"]);
    assert.deepEqual(of("forwarded"), ['for=6.6.6.6, for=127.0.0.1;proto=http;host="Shop.test:99"']);
    assert.deepEqual(of("x-tidegate-unit"), ["hz"]);
    assert.deepEqual(of("x-tidegate-epoch"), ["7"]);
  });

  await t.test("the slot of a sharded request", async () => {
    const of = await see(strict.port, "/cart/x", ["host", "a", "x-user-id", "42"]);
    assert.equal(of("x-tidegate-slot").length, 1);
    assert.match(of("x-tidegate-slot")[0]!, /^\d+$/);
  });

  await t.test("a Connection that names our fields removes none of them", async () => {
    const of = await see(strict.port, "/hall/x", [
      "host",
      "a",
      "connection",
      "close, x-tidegate-unit, x-forwarded-for, via, traceparent, host",
    ]);
    for (const name of ["x-tidegate-unit", "x-forwarded-for", "via", "traceparent", "host"])
      assert.equal(of(name).length, 1, name);
  });

  await t.test("a trace is passed on", async () => {
    const of = await see(strict.port, "/hall/x", [
      "host",
      "a",
      "traceparent",
      PARENT,
      "tracestate",
      "a=1",
      "tracestate",
      "b=2",
    ]);
    assert.deepEqual(of("traceparent"), [PARENT]);
    assert.deepEqual(of("tracestate"), ["a=1", "b=2"]);
  });

  await t.test(
    "a missing, invalid or double trace parent begins a new trace, without the old state",
    async () => {
      for (const parents of [
        [],
        ["00-zz-b7ad6b7169203331-01"],
        [PARENT, PARENT],
        [PARENT.replace(/^00/, "ff")],
        [""],
      ]) {
        const fields = parents.flatMap((p) => ["traceparent", p]);
        const of = await see(strict.port, "/hall/x", [
          "host",
          "a",
          "tracestate",
          "a=1",
          ...fields,
          "tracestate",
          "b=2",
        ]);
        assert.equal(of("traceparent").length, 1);
        assert.match(of("traceparent")[0]!, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
        assert.deepEqual(of("tracestate"), [], JSON.stringify(parents));
      }
    },
  );
});
