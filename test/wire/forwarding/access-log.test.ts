/** The access log: what each line says, and which requests have one. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { fleetYaml, ROUTES, startGateway, until } from "../../support/gateway.ts";
import { ask, sampleUnit } from "./support.ts";

interface Line {
  [field: string]: unknown;
  path: string;
}

async function logging(t: TestContext, gatewayYaml: string) {
  const dir = mkdtempSync(join(tmpdir(), "tidegate-log-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, "new", "access.log");
  const unit = await sampleUnit(t);
  const gateway = await startGateway(
    t,
    {
      "fleet.yaml": fleetYaml({ hz: [unit.origin] }),
      "routes.yaml": ROUTES,
      "gateway.yaml": gatewayYaml,
    },
    ["--access-log", file],
  );
  const lines = (): Line[] => {
    try {
      return readFileSync(file, "utf8")
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Line);
    } catch {
      return [];
    }
  };
  return {
    unit,
    gateway,
    lines,
    line: (path: string) => until(path, () => lines().find((l) => l.path === path)!, Boolean, 3_000),
  };
}

test("each request has a line, to a file that is made with its directory", async (t) => {
  const { unit, gateway, lines, line } = await logging(t, "trust: [ 127.0.0.0/8 ]\n");
  const before = Date.now();
  await ask(gateway.port, {
    method: "POST",
    path: "/cart/one?uid=7&token=secret-canary",
    body: "x",
    headers: { host: "Shop.test:1", traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" },
  });
  const { time, milliseconds, slot, ...rest } = await line("/cart/one");
  assert.ok(Date.parse(String(time)) >= before - 1_000 && Date.parse(String(time)) <= Date.now() + 1_000);
  assert.ok(typeof milliseconds === "number" && milliseconds > 0 && milliseconds < 2_000);
  assert.ok(Number.isInteger(slot));
  assert.deepEqual(rest, {
    level: 30,
    method: "POST",
    path: "/cart/one",
    host: "shop.test",
    client: "127.0.0.1",
    status: 200,
    route: "cart",
    unit: "hz",
    version: "stable",
    attempts: 1,
    trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    problem: "",
    log: "access",
  });
  assert.ok(!JSON.stringify(lines()).includes("secret-canary"));

  await t.test("the client is whom a trusted peer names", async () => {
    await ask(gateway.port, { path: "/hall/trusted", headers: { "x-forwarded-for": "9.9.9.9" } });
    assert.equal((await line("/hall/trusted")).client, "9.9.9.9");
  });

  await t.test("a client that left", async () => {
    const socket = net.connect(gateway.port, "127.0.0.1");
    const arrived = once(unit.events, "request");
    socket.write("GET /hall/delay/5000 HTTP/1.1\r\nhost: a\r\n\r\n");
    await arrived;
    socket.destroy();
    const gone = await line("/hall/delay/5000");
    assert.equal(gone.status, 499);
    assert.equal(gone.problem, "client-closed");
  });

  await t.test("a request that is refused before it has a unit", async () => {
    await ask(gateway.port, { path: "/nowhere" });
    const refused = await line("/nowhere");
    assert.equal(refused.status, 404);
    assert.equal(refused.problem, "no-route");
  });
});

test("a sample of 0 % leaves the answers of 500 and above", async (t) => {
  const { unit, gateway, lines, line } = await logging(t, "accessLog: { sample: 0% }\n");
  for (const status of [200, 404, 499]) await ask(gateway.port, { path: `/hall/status/${status}` });
  await ask(gateway.port, { method: "POST", path: "/hall/status/500" });
  await unit.turn({ mode: "refuse" });
  await ask(gateway.port, { method: "POST", path: "/hall/last" });
  const last = await line("/hall/last");
  assert.ok(Number(last.status) >= 502);
  assert.notEqual(last.problem, "");
  assert.deepEqual(
    lines().map((l) => l.path),
    ["/hall/status/500", "/hall/last"],
  );
});
