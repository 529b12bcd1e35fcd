/** The same requests through the gateway to a real server: nginx must read what was meant. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { fleetYaml, ROUTES, startGateway, until } from "../../support/gateway.ts";
import { check, get, HOST, post, say } from "./support.ts";

/** Answers with what it read: method, target, host, body length and framing. */
async function nginx(t: TestContext): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), "tidegate-nginx-"));
  const free = net.createServer().listen(0, "127.0.0.1");
  await once(free, "listening");
  const { port } = free.address() as net.AddressInfo;
  free.close();
  await once(free, "close");
  writeFileSync(
    join(dir, "nginx.conf"),
    `daemon off; worker_processes 1; pid ${dir}/pid; error_log ${dir}/error.log;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/p; fastcgi_temp_path ${dir}/f; uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s;
  large_client_header_buffers 8 64k;
  server {
    listen 127.0.0.1:${port};
    location = /healthz { return 200 ok; }
    location / {
      client_max_body_size 0;
      proxy_pass http://127.0.0.1:${port}/echo$request_uri;
      proxy_set_header x-seen "$request_method $request_uri $http_host [$content_length] [$http_transfer_encoding] $http_x_tidegate_unit $http_x_forwarded_for";
    }
    location /echo/ { return 200 "$http_x_seen [$content_length]\\n"; }
  }
}
`,
  );
  const child = spawn("nginx", ["-p", dir, "-c", join(dir, "nginx.conf"), "-e", join(dir, "error.log")], {
    stdio: "ignore",
  });
  t.after(async () => {
    if (child.exitCode === null) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
    rmSync(dir, { recursive: true, force: true });
  });
  await until("nginx listens", () =>
    fetch(`http://127.0.0.1:${port}/healthz`).then(
      (r) => r.ok,
      () => false,
    ),
  );
  return `http://127.0.0.1:${port}`;
}

test("nginx behind the gateway reads what was meant", async (t) => {
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [await nginx(t)] }),
    "routes.yaml": ROUTES,
  });
  const smuggled = get("/hall/smuggled");
  for (const [name, bytes, seen] of [
    ["GET", get("/hall/x?a=b"), "GET /hall/x?a=b a.test [] [] hz 127.0.0.1 []\n"],
    [
      "GET with a body that is a request",
      get("/hall/x", `Content-Length: ${smuggled.length}\r\n`) + smuggled,
      `GET /hall/x a.test [${smuggled.length}] [] hz 127.0.0.1 [${smuggled.length}]\n`,
    ],
    [
      "POST, chunked",
      post(
        "/hall/x",
        "Transfer-Encoding: chunked\r\n",
        `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`,
      ),
      undefined,
    ],
    [
      "claims of a stranger",
      get(
        "/hall/x",
        "X-Forwarded-For: 1.2.3.4\r\nX-Tidegate-Unit: sz\r\nConnection: close, x-tidegate-unit\r\n",
      ),
      "GET /hall/x a.test [] [] hz 127.0.0.1 []\n",
    ],
    [
      "path parameters and escapes",
      get("/hall/a;b=c/%20%25"),
      "GET /hall/a;b=c/%20%25 a.test [] [] hz 127.0.0.1 []\n",
    ],
    [
      "capitals in Host",
      `GET /hall/x HTTP/1.1\r\nHost: H050.TEST:81\r\n\r\n`,
      "GET /hall/x H050.TEST:81 [] [] hz 127.0.0.1 []\n",
    ],
  ] as const) {
    await check(t, name, async () => {
      const said = await say(gateway.port, bytes);
      assert.deepEqual(
        said.answers.map((a) => a.status),
        [200],
        said.text,
      );
      if (seen !== undefined) assert.equal(said.answers[0]!.body, seen);
      else
        assert.match(
          said.answers[0]!.body,
          new RegExp(`^POST /hall/x a.test .* hz 127.0.0.1 \\[${smuggled.length}\\]\\n$`),
        );
    });
  }
  for (const [name, bytes] of [
    [
      "Content-Length with Transfer-Encoding",
      post("/hall/x", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", `0\r\n\r\n${smuggled}`),
    ],
    ["two Hosts", `GET /hall/x HTTP/1.1\r\n${HOST}Host: b.test\r\n\r\n`],
    ["a dot segment", get("/hall/%2e%2e/echo/x")],
  ] as const) {
    await check(t, `${name}: 400`, async () => {
      const said = await say(gateway.port, bytes);
      assert.deepEqual(
        said.answers.map((a) => a.status),
        [400],
        said.text,
      );
    });
  }
  assert.equal(await gateway.metric("tidegate_thread_restarts_total"), 0);
});
