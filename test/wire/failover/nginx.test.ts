/** The same with nginx as the units' own servers: other keep-alive, other resets, master and worker processes. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { startGateway, until } from "../../support/gateway.ts";
import { fleet, keyOf, routes } from "./fleet.ts";
import { byUnit, Load, pause, shareOf, summary } from "./load.ts";
import { freePort } from "./units.ts";
import { accepts } from "../../../host/port.ts";

class Nginx {
  readonly unit: string;
  readonly port: number;
  readonly #dir: string;
  #child: ChildProcess | undefined;

  constructor(dir: string, unit: string, port: number) {
    this.#dir = dir;
    this.unit = unit;
    this.port = port;
    for (const sub of ["", "body", "proxy", "fastcgi", "uwsgi", "scgi"]) {
      mkdirSync(join(dir, sub), { recursive: true });
    }
    writeFileSync(
      join(dir, "nginx.conf"),
      `daemon off; pid nginx.pid; error_log error.log; worker_processes 1;
events { worker_connections 1024; }
http {
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  access_log access.log; keepalive_timeout 2s; keepalive_requests 50;
  server {
    listen 127.0.0.1:${port};
    add_header x-unit ${unit} always; add_header x-port ${port} always;
    location = /healthz { access_log off; return 200 "ok"; }
    location / { return 200 "$request_method $request_uri"; }
  }
}
`,
    );
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    // A process group of its own, so that a kill takes master and worker at once.
    this.#child = spawn("nginx", ["-p", this.#dir, "-c", "nginx.conf", "-e", "error.log"], {
      stdio: "ignore",
      detached: true,
    });
    await until(`nginx on ${this.port}`, () => accepts(this.port));
  }

  async signal(signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): Promise<void> {
    const child = this.#child!;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = signal === "SIGKILL" ? once(child, "exit") : undefined;
    process.kill(-child.pid!, signal);
    await gone;
  }

  /** Ends polite: nginx finishes what is under way and closes kept connections. */
  async quit(): Promise<void> {
    const gone = once(this.#child!, "exit");
    this.#child!.kill("SIGQUIT");
    await gone;
  }

  /** Lines of the access log: what arrived. */
  requests(): string[] {
    return readFileSync(join(this.#dir, "access.log"), "utf8").split("\n").filter(Boolean);
  }
}

async function startNginx(t: TestContext, ...names: string[]): Promise<Nginx[]> {
  const dir = mkdtempSync(join(tmpdir(), "tidegate-nginx-"));
  const servers: Nginx[] = [];
  t.after(async () => {
    await Promise.all(servers.map((server) => server.signal("SIGKILL")));
    rmSync(dir, { recursive: true, force: true });
  });
  for (const [i, name] of names.entries()) {
    let port = freePort();
    while (servers.some((s) => s.port === port) || (await accepts(port))) port = freePort();
    servers.push(new Nginx(join(dir, `${name}-${i}`), name, port));
  }
  await Promise.all(servers.map((server) => server.start()));
  return servers;
}

test("nginx units are killed, frozen, restarted and brought back, and no read fails", async (t) => {
  const [hz1, hz2, sh] = (await startNginx(t, "hz", "hz", "sh")) as [Nginx, Nginx, Nginx];
  const gateway = await startGateway(t, {
    // nginx is back before three checks have failed, so only its ejection has to end.
    "fleet.yaml": fleet({ hz: [hz1.url, hz2.url], sh: [sh.url] }, { outlier: "{ baseEjection: 1s }" }),
    "routes.yaml": routes("timeout: { connect: 300ms, headers: 1s }, retry: { budget: 100% }"),
  });
  const up = async (...servers: Nginx[]): Promise<boolean> => {
    const { endpoints } = await gateway.status();
    return servers.every((s) => endpoints.some((e) => e.endpoint === s.url && e.health === "up"));
  };
  await until("all up", () => up(hz1, hz2, sh));
  const load = new Load({ port: gateway.port, rate: 200, request: (n) => ({ path: `/hall/${n}` }) });
  t.after(() => load.stop());
  await pause(500);

  await hz1.signal("SIGKILL");
  await until("one down", async () => !(await up(hz1)));
  await hz1.start();
  await until("back", () => up(hz1));

  // A restart for a new configuration: kept connections are closed under our feet.
  await hz2.quit();
  await hz2.start();
  await until("back", () => up(hz2));

  await Promise.all([hz1.signal("SIGKILL"), hz2.signal("SIGKILL")]);
  await until("unit down", async () => !(await up(hz1)) && !(await up(hz2)));
  const away = performance.now();
  await until("requests were answered since", () => load.between(away).length >= 40);
  assert.deepEqual(Object.keys(byUnit(load.between(away))), ["sh"]);
  await Promise.all([hz1.start(), hz2.start()]);
  await until("home", () => up(hz1, hz2));

  await Promise.all([hz1.signal("SIGSTOP"), hz2.signal("SIGSTOP")]);
  const frozen = performance.now();
  await until("unit out", async () => !(await up(hz1)) && !(await up(hz2)));
  assert.ok(performance.now() - frozen <= 3_000, `out after ${performance.now() - frozen} ms`);
  await Promise.all([hz1.signal("SIGCONT"), hz2.signal("SIGCONT")]);
  await until("home again", () => up(hz1, hz2));
  const home = performance.now();
  await pause(400);
  await load.stop();
  assert.equal(load.failures.length, 0, summary(load));
  const last = load.between(home + 100);
  assert.deepEqual(Object.keys(byUnit(last)), ["hz"]);
  assert.ok(shareOf(last, hz1.port) > 0.3 && shareOf(last, hz2.port) > 0.3);
});

test("writes of a dead nginx unit reach nobody else's log", async (t) => {
  const [hz, sh] = (await startNginx(t, "hz", "sh")) as [Nginx, Nginx];
  const gateway = await startGateway(t, {
    "fleet.yaml": fleet({ hz: [hz.url], sh: [sh.url] }),
    "routes.yaml": routes(),
  });
  const key = await keyOf(gateway, "sh");
  const load = new Load({
    port: gateway.port,
    rate: 100,
    request: (n) => ({ method: n % 2 === 0 ? "POST" : "GET", path: `/cart/${n}?uid=${key}` }),
  });
  t.after(() => load.stop());
  await pause(300);
  await sh.signal("SIGKILL");
  await pause(1_000);
  await load.stop();
  const failed = load.failures;
  assert.ok(failed.length > 20, summary(load));
  for (const { request, status } of failed) {
    assert.equal(request.method, "POST");
    assert.ok(status === 502 || status === 503);
  }
  const lines = hz.requests();
  assert.ok(lines.some((line) => line.includes('"GET /cart/')));
  assert.deepEqual(
    lines.filter((line) => line.includes('"POST ')),
    [],
  );
});
