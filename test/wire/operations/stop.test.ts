/** The way to stop: not ready at once, lame duck, drain, end. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { raw, startGateway, until, wholeAnswer } from "../../support/gateway.ts";
import { fleet, routes } from "../failover/fleet.ts";
import { startUnits, urls } from "../failover/units.ts";

const GET = "GET /hall/x HTTP/1.1\r\nHost: a\r\n\r\n";

test("SIGTERM: not ready at once, yet alive and serving new connections, which are closed politely", async (t) => {
  const units = await startUnits(t, { hz: 1 });
  const gateway = await startGateway(t, { "fleet.yaml": fleet(urls(units)), "routes.yaml": routes() }, [
    "--lame-duck",
    "1s",
  ]);
  assert.equal((await gateway.admin("/readyz")).status, 200);
  assert.doesNotMatch(await raw(gateway.port, GET, wholeAnswer), /connection: close/i);

  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const get = (path: string) =>
    new Promise<http.IncomingMessage>((resolve, reject) => {
      http.get({ port: gateway.port, host: "127.0.0.1", path, agent }, resolve).on("error", reject);
    });
  (await get("/hall/kept")).resume();
  const slow = get("/hall/delay/2000");
  await until(
    "under way",
    () => gateway.metric("tidegate_upstream_inflight"),
    (n) => n === 1,
  );

  const exited = once(gateway.process, "exit");
  const asked = performance.now();
  gateway.process.kill("SIGTERM");
  await until(
    "not ready",
    async () => (await gateway.admin("/readyz")).status,
    (status) => status === 503,
    500,
  );
  const ready = await gateway.admin("/readyz");
  assert.equal(await ready.text(), "stopping\n");
  assert.equal((await gateway.admin("/healthz")).status, 200);
  const fresh = await raw(gateway.port, GET, wholeAnswer);
  assert.match(fresh, /^HTTP\/1.1 200/);
  assert.match(fresh, /connection: close/i);
  const kept = await get("/hall/kept");
  kept.resume();
  assert.equal(kept.statusCode, 200);
  assert.equal(kept.headers.connection, "close");
  const own = await raw(gateway.port, GET.replace("/hall/x", "/nothing"), wholeAnswer);
  assert.match(own, /^HTTP\/1.1 404/);
  assert.match(own, /connection: close/i);

  const answered = await slow;
  assert.equal(answered.statusCode, 200);
  answered.resume();
  await once(answered, "end");
  const [code] = await exited;
  assert.equal(code, 0, gateway.stderr);
  const took = performance.now() - asked;
  assert.ok(took >= 1_000 && took < 4_000, `ended after ${took} ms`);
});

test("what outlives the grace period is cut off, and the exit code says so", async (t) => {
  const units = await startUnits(t, { hz: 1 });
  const gateway = await startGateway(t, { "fleet.yaml": fleet(urls(units)), "routes.yaml": routes() }, [
    "--grace",
    "300ms",
  ]);
  const cut = raw(gateway.port, GET.replace("/hall/x", "/hall/delay/20000"));
  await until(
    "under way",
    () => gateway.metric("tidegate_upstream_inflight"),
    (n) => n === 1,
  );
  const asked = performance.now();
  assert.equal(await gateway.stop("SIGTERM"), 3);
  assert.ok(performance.now() - asked < 2_500);
  assert.doesNotMatch(await cut, /HTTP\/1.1 200/);
  assert.match(gateway.stderr, /"cutOff":1/);
});

test("an idle gateway ends at once after its lame duck", async (t) => {
  const units = await startUnits(t, { hz: 1 });
  const gateway = await startGateway(t, { "fleet.yaml": fleet(urls(units)), "routes.yaml": routes() });
  await raw(gateway.port, GET, wholeAnswer);
  const asked = performance.now();
  assert.equal(await gateway.stop("SIGTERM"), 0);
  assert.ok(performance.now() - asked < 1_500, `${performance.now() - asked} ms`);
});

test("a request that comes on an idle kept connection just after the end of the lame duck is answered", async (t) => {
  const units = await startUnits(t, { hz: 1 });
  const gateway = await startGateway(t, { "fleet.yaml": fleet(urls(units)), "routes.yaml": routes() }, [
    "--lame-duck",
    "300ms",
  ]);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const get = () =>
    new Promise<{ status: number; connection: string }>((resolve, reject) => {
      http
        .get({ port: gateway.port, host: "127.0.0.1", path: "/hall/x", agent }, (response) => {
          response.resume();
          response.on("end", () =>
            resolve({ status: response.statusCode!, connection: response.headers.connection ?? "" }),
          );
        })
        .on("error", reject);
    });
  assert.equal((await get()).status, 200);
  const exited = once(gateway.process, "exit");
  gateway.process.kill("SIGTERM");
  await until(
    "draining",
    () => gateway.stderr,
    (text) => text.includes("no new connections"),
  );
  assert.deepEqual(await get(), { status: 200, connection: "close" });
  assert.equal((await exited)[0], 0);
});

test("an HTTP/2 session is told GOAWAY, and its streams under way end well", async (t) => {
  const units = await startUnits(t, { hz: 1 });
  const gateway = await startGateway(
    t,
    { "fleet.yaml": fleet(urls(units)), "routes.yaml": routes(), "cert/.keep": "" },
    [],
  );
  await gateway.stop("SIGKILL");
  const cert = join(gateway.dir, "cert.pem");
  const key = join(gateway.dir, "key.pem");
  execFileSync(
    "openssl",
    [
      ...[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
      ],
      ...["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
    ],
    { stdio: "ignore" },
  );
  const secure = await startGateway(t, { "fleet.yaml": fleet(urls(units)), "routes.yaml": routes() }, [
    ...["--tls-port", "0", "--tls-cert", cert, "--tls-key", key, "--lame-duck", "500ms"],
  ]);
  const session = http2.connect(`https://localhost:${secure.tlsPort}`, { ca: readFileSync(cert) });
  t.after(() => session.destroy());
  const stream = session.request({ ":path": "/hall/delay/1000" });
  let body = "";
  stream.setEncoding("utf8").on("data", (chunk) => {
    body += chunk;
  });
  await until(
    "under way",
    () => secure.metric("tidegate_upstream_inflight"),
    (n) => n === 1,
  );
  const goaway = once(session, "goaway");
  const ended = once(stream, "end");
  const asked = performance.now();
  const exited = once(secure.process, "exit");
  secure.process.kill("SIGTERM");
  const [code] = await goaway;
  assert.equal(code, 0);
  assert.ok(performance.now() - asked < 500, "said at once");
  // Whoever comes meanwhile is served.
  const late = http2.connect(`https://localhost:${secure.tlsPort}`, { ca: readFileSync(cert) });
  t.after(() => late.destroy());
  const [head] = await once(late.request({ ":path": "/hall/late" }), "response");
  assert.equal(head[":status"], 200);
  await ended;
  assert.match(body, /"unit":"hz"/);
  assert.equal((await exited)[0], 0, secure.stderr);
});
