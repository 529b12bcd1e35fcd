/** From a breach to the people who are told of it: a real gateway, control plane, HTTP receivers and a mail server. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { startControlPlane, startFollower, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, ROUTES, type TestGateway, until } from "../../support/gateway.ts";
import { mailSink, type Receiver, receiver } from "../../support/receivers.ts";

const SECRET = "canary-secret-of-the-webhook";
process.env.TIDEGATE_ALERT_SECRET = SECRET;

interface Unit {
  readonly server: Server;
  readonly url: string;
  /** What it answers to everything but its health check. */
  status: number;
}

async function unit(t: TestContext, name: string): Promise<Unit> {
  const made: { status: number } = { status: 200 };
  const server = createServer((request, response) => {
    response.statusCode = request.url === "/healthz" ? 200 : made.status;
    response.end(name);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return Object.assign(made, { server, url });
}

interface Fleet {
  readonly plane: TestControlPlane;
  readonly gateway: TestGateway;
  readonly units: Readonly<Record<"hz" | "sh" | "sz", Unit>>;
}

async function fleet(
  t: TestContext,
  alerts: string,
  hosts: readonly string[],
  files: Readonly<Record<string, string>> = {},
): Promise<Fleet> {
  const units = { hz: await unit(t, "hz"), sh: await unit(t, "sh"), sz: await unit(t, "sz") };
  const pools = Object.fromEntries(Object.entries(units).map(([name, { url }]) => [name, [url]]));
  const all = { "fleet.yaml": fleetYaml(pools), "routes.yaml": ROUTES, "alerts.yaml": alerts, ...files };
  const plane = await startControlPlane(t, all, ["--dev", ...hosts.flatMap((host) => ["--hook-host", host])]);
  const gateway = await startFollower(t, plane, "gw-1");
  await until(
    "the units are healthy",
    async () => {
      const { body } = await plane.call("GET", "/v1/status");
      return JSON.stringify(body).match(/"healthy":true/g)?.length ?? 0;
    },
    (n) => n >= 3,
  );
  return { plane, gateway, units };
}

/** Requests of users of every unit, until it is stopped. */
function traffic(t: TestContext, gateway: TestGateway, path = "/cart/1"): void {
  let n = 0;
  const timer = setInterval(() => {
    const user = `u-${n++ % 200}`;
    fetch(`${gateway.url}${path}`, { headers: { "x-user-id": user } }).then(
      (r) => r.text(),
      () => {},
    );
  }, 10);
  t.after(() => clearInterval(timer));
}

const firing = ({ json }: Receiver["requests"][number], rule: string): boolean =>
  json?.firing?.some((alert: { rule: string }) => alert.rule === rule) ?? false;
const resolved = ({ json }: Receiver["requests"][number], rule: string): boolean =>
  json?.resolved?.some((alert: { rule: string }) => alert.rule === rule) ?? false;

test("a unit that dies is told of by webhook and by e-mail, and that it is back; its routes are quiet for it", async (t) => {
  const [hook, mail] = [await receiver(t), await mailSink(t)];
  const alerts = `
rules:
  unit-down:
    is: unit-unhealthy
    severity: critical
    keep-firing: 0s
    inhibits: [unit-errors]
    summary: unit \${unit} does not answer
  unit-errors: { when: "errors{unit=\${unit}} > 5%", each: unit, for: 3s }
channels:
  hook: { kind: webhook, url: "${hook.url}/in", secret-from: TIDEGATE_ALERT_SECRET }
  mail: { kind: email, smtp: "smtp://127.0.0.1:${mail.port}", from: tidegate@example.com, to: [sre@example.com] }
notify:
  - { to: [hook, mail], group-by: [rule, unit] }
link: https://tidegate.example.com
`;
  const { plane, gateway, units } = await fleet(t, alerts, [
    `127.0.0.1:${hook.port}`,
    `127.0.0.1:${mail.port}`,
  ]);
  traffic(t, gateway);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const began = performance.now();
  units.sh.server.closeAllConnections();
  units.sh.server.close();
  const told = await hook.next("the webhook", (request) => firing(request, "unit-down"));
  const letter = await until("the letter", () => mail.letters[0]);
  t.diagnostic(
    `webhook after ${Math.round(told.at - began)} ms, e-mail after ${Math.round(letter!.at - began)} ms`,
  );
  // The promise is 10 s on a quiet machine; tests share theirs.
  assert.ok(told.at - began < 15_000);

  const [alert] = told.json.firing;
  assert.deepEqual(alert.labels, { unit: "sh" });
  assert.equal(alert.summary, "unit sh does not answer");
  assert.equal(told.json.title, "1 firing, critical: unit-down");
  const signature = String(told.headers["tidegate-signature"]);
  const [, at, mac] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(signature) ?? [];
  assert.equal(mac, createHmac("sha256", SECRET).update(`${at}.${told.text}`).digest("hex"));
  assert.match(String(told.headers["idempotency-key"]), /^am-[0-9a-z-]+~hook$/);
  assert.match(letter!.text, /^Subject: \[tidegate\] 1 firing, critical: unit-down$/m);
  assert.match(letter!.text, /unit sh does not answer/);

  const { body } = await plane.call("GET", "/v1/alerts");
  const shown = body.alerts.find((one: { rule: string }) => one.rule === "unit-down");
  assert.equal(shown.state, "firing");
  units.sh.server.listen(Number(new URL(units.sh.url).port), "127.0.0.1");
  const over = await hook.next("that it is back", (request) => resolved(request, "unit-down"), 20_000);
  assert.equal(over.json.firing.length, 0);
  assert.equal(
    hook.requests.some((request) => firing(request, "unit-errors")),
    false,
    "its errors were not told",
  );
  assert.equal(plane.stderr.includes(SECRET), false);
  // The last of them is written down after its receiver has it.
  const log = await until(
    "all are sent",
    () => plane.call("GET", "/v1/notifications"),
    ({ body }) => body.notifications.every((one: { state: string }) => one.state === "sent"),
  );
  assert.equal(JSON.stringify(log.body).includes(SECRET), false);
});
