/** Failed requests of all gateways, at a control plane: searched, shown, and once each. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import http from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { RequestTrace } from "../../../model/request-trace.ts";
import { startControlPlane, startFollower } from "../../support/control-plane.ts";
import { fleetYaml, ROUTES, until } from "../../support/gateway.ts";

const SECRET = "tg-canary-secret";

async function unit(t: TestContext, status: number): Promise<string> {
  const server = http.createServer((_request, response) => response.writeHead(status).end("x"));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}

test("what failed at any gateway is found by unit, time and trace, and nobody's secret with it", async (t) => {
  const fleet = fleetYaml({ hz: [await unit(t, 200)], sh: [await unit(t, 500)] }, "  pins: { bad: sh }\n");
  const plane = await startControlPlane(t, {
    "fleet.yaml": fleet.replace(/health: .*\n/, "health: none\n"),
    "routes.yaml": ROUTES,
  });
  const gateways = await Promise.all(["one", "two"].map((name) => startFollower(t, plane, name)));
  const ids = ["0af7651916cd43dd8448eb211c80319c", "1af7651916cd43dd8448eb211c80319c"];
  for (const [i, gateway] of gateways.entries()) {
    const headers = {
      "x-user-id": "bad",
      authorization: `Bearer ${SECRET}`,
      traceparent: `00-${ids[i]}-b7ad6b7169203331-00`,
    };
    const answer = await fetch(`${gateway.url}/cart/1?token=${SECRET}`, { headers });
    assert.equal(answer.status, 500);
  }
  const errors = async (query: string): Promise<RequestTrace[]> =>
    (await plane.call("GET", `/v1/errors?${query}`)).body.errors;
  const both = await until(
    "both",
    () => errors("unit=sh&since=10m"),
    (found) => found.length === 2,
  );
  assert.deepEqual(both.map(({ gateway }) => gateway).sort(), ["one", "two"]);
  assert.deepEqual([await errors("unit=hz&kind=failed"), await errors("since=2100-01-01")], [[], []]);
  const [first] = await errors(`trace=${ids[0]}`);
  assert.deepEqual(
    [first!.gateway, first!.unit, first!.status, first!.attempts.length > 0],
    ["one", "sh", 500, true],
  );
  assert.ok(!JSON.stringify(both).includes(SECRET));
  // It is told once, though a gateway says it again where it got no answer.
  const report = { epoch: 1, revision: 1, units: {}, errors: [first] };
  assert.equal((await plane.call("POST", "/v1/gateways/one/reports", report)).status, 204);
  assert.equal((await errors(`trace=${ids[0]}`)).length, 1);
  for (const [query, words] of [
    ["since=yesterday", /expected a duration/],
    ["kind=bad", /kind/],
    ["trace=zz", /trace/],
    ["page=2", /additional/],
  ] as const) {
    const refused = await plane.call("GET", `/v1/errors?${query}`);
    assert.equal(refused.status, 400);
    assert.match(refused.body.title + (refused.body.detail ?? ""), words);
  }
  assert.equal(
    (await plane.call("POST", "/v1/gateways/one/reports", { ...report, errors: [{}] })).status,
    400,
  );

  const cli = (...args: string[]) =>
    spawnSync(
      process.execPath,
      [join(import.meta.dirname, "../../../cli/tidegate.mjs"), ...args, "--control-plane", plane.url],
      {
        encoding: "utf8",
        timeout: 30_000,
      },
    );
  const listed = cli("errors", "--unit", "sh");
  assert.equal(listed.status, 0, listed.stderr);
  for (const id of ids) assert.ok(listed.stdout.includes(id));
  const shown = cli("trace", ids[1]!);
  assert.equal(shown.status, 0, shown.stderr);
  assert.match(shown.stdout, /GET \/cart\/1 → 500/);
  assert.match(shown.stdout, /before the first attempt\n.*sh .*: 500/);
  assert.ok(!shown.stdout.includes(SECRET));
  const unknown = cli("trace", "f".repeat(32));
  assert.notEqual(unknown.status, 0);
  assert.match(unknown.stderr, /no gateway told of/);
  assert.match(cli("trace", "x").stderr, /32 hexadecimal digits/);
});
