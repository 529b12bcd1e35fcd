/** TLS on the control plane's listener, and gateways that prove themselves by a certificate. */
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { copyFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import tls from "node:tls";
import { Agent, fetch } from "undici";
import { startControlPlane, startFollower, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, type TestGateway, until } from "../../support/gateway.ts";
import { type Certificate, Certificates } from "../forwarding/certificates.ts";

const CLI = new URL("../../../cli/tidegate.mjs", import.meta.url).pathname;
const ROUTES = (path: string): string =>
  `routes:\n  - { name: hall, match: { path: ${path} }, service: hall, scope: nearest }\n`;
const FILES = { "fleet.yaml": fleetYaml({ hz: ["http://127.0.0.1:9"] }), "routes.yaml": ROUTES("/hall/*") };

interface Stand {
  readonly plane: TestControlPlane;
  /** Signs both sides. */
  readonly authority: Certificates;
  readonly server: Certificate;
  readonly ca: string;
}

async function stand(t: TestContext): Promise<Stand> {
  const authority = new Certificates(t);
  const server = authority.make("IP:127.0.0.1,DNS:localhost");
  const ca = join(authority.dir, "ca.pem");
  const files = ["--tls-cert", server.certFile, "--tls-key", server.keyFile, "--tls-client-ca", ca];
  return { plane: await startControlPlane(t, FILES, files), authority, server, ca };
}

const address = (plane: TestControlPlane): string => `https://127.0.0.1:${plane.port}`;
const adminToken = (plane: TestControlPlane): string =>
  readFileSync(join(plane.data, "admin.token"), "utf8").trim();
const nameOf = (gateway: string): string => `URI:tidegate:gateway:${gateway}`;

function follow(t: TestContext, { plane, ca }: Stand, name: string, own: Certificate): Promise<TestGateway> {
  const trust = ["--control-plane", address(plane), "--control-plane-ca", ca];
  return startFollower(t, plane, name, [
    ...trust,
    "--client-cert",
    own.certFile,
    "--client-key",
    own.keyFile,
  ]);
}

interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look at whatever came.
  readonly body: any;
}

/** One request on a connection of its own. */
async function call(
  { plane, authority }: Stand,
  method: string,
  path: string,
  { as, token, body }: { as?: Certificate; token?: string; body?: object } = {},
): Promise<Answer> {
  const pair = as === undefined ? {} : { cert: as.cert, key: as.key };
  const dispatcher = new Agent({ connect: { ca: authority.ca, ...pair } });
  try {
    const answer = await fetch(`${address(plane)}${path}`, {
      dispatcher,
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
    const text = await answer.text();
    return { status: answer.status, body: text === "" ? null : JSON.parse(text) };
  } finally {
    await dispatcher.close();
  }
}

const ack = (at: Stand, gateway: string, given: { as?: Certificate; token?: string }): Promise<Answer> => {
  const body = { epoch: 1, revision: 1, outcome: "applied", reasons: [] };
  return call(at, "POST", `/v1/gateways/${gateway}/acks`, { ...given, body });
};

test("a gateway with a certificate and no token follows, and speaks for nobody else", async (t) => {
  const at = await stand(t);
  const one = at.authority.make(nameOf("one"));
  const gateway = await follow(t, at, "one", one);
  assert.equal((await fetch(`${gateway.url}/lobby/a`)).status, 404);
  const token = adminToken(at.plane);
  const next = { files: { ...FILES, "routes.yaml": ROUTES("/lobby/*") }, reason: "a test" };
  assert.equal((await call(at, "PUT", "/v1/config", { token, body: next })).status, 200);
  await until(
    "revision 2",
    () => gateway.status(),
    (s) => s.servedRevision === 2,
  );
  await until(
    "the acknowledgement",
    async () => (await call(at, "GET", "/v1/gateways", { token })).body.gateways,
    (list) => list.some((g: { name: string; revision: number }) => g.name === "one" && g.revision === 2),
  );
  const other = await ack(at, "two", { as: one });
  assert.equal(other.status, 403);
  assert.match(other.body.title, /one may speak for the gateway one only, not for two/);
  assert.equal((await ack(at, "one", { as: one })).status, 204);
  const people = await call(at, "GET", "/v1/status", { as: one });
  assert.equal(people.status, 403);
  assert.match(people.body.title, /one is gateway; this is for viewer/);
});

test("which certificates are believed, and whose they are", async (t) => {
  const at = await stand(t);
  const { authority } = at;
  const stranger = new Certificates(t);
  const cases: [string, Certificate | undefined, number, RegExp][] = [
    ["a DNS name", authority.make("DNS:one"), 204, /^/],
    ["a URI beside a DNS name", authority.make(`DNS:two,${nameOf("one")}`), 204, /^/],
    [
      "only the URI counts",
      authority.make(`DNS:one,${nameOf("two")}`),
      403,
      /two may speak for the gateway two only/,
    ],
    ["of another authority", stranger.make(nameOf("one")), 401, /certificate is not believed: UNABLE/],
    ["signed by itself", authority.make(nameOf("one"), { self: true }), 401, /not believed: DEPTH_ZERO_SELF/],
    ["over", authority.make(nameOf("one"), { expired: true }), 401, /not believed: CERT_HAS_EXPIRED/],
    ["of no gateway", authority.make("email:one@example.com"), 403, /names no gateway/],
    ["none", undefined, 401, /a token is needed/],
  ];
  for (const [name, as, status, words] of cases) {
    await t.test(name, async () => {
      const answer = await ack(at, "one", as === undefined ? {} : { as });
      assert.equal(answer.status, status, JSON.stringify(answer.body));
      assert.match(answer.body?.title ?? "", words);
    });
  }
  // A token decides, whatever certificate comes with it; and people need none.
  const token = adminToken(at.plane);
  assert.equal(
    (await call(at, "GET", "/v1/status", { token, as: stranger.make(nameOf("one")) })).status,
    200,
  );
  assert.equal((await call(at, "GET", "/v1/status", { token })).status, 200);
});

test("a gateway's token can be bound to its name, and a revoked one loses its stream", async (t) => {
  const at = await stand(t);
  const { plane, ca } = at;
  const token = adminToken(plane);
  const make = (more: object): Promise<Answer> => {
    const body = { name: "gw", expires: "1h", reason: "a test", ...more };
    return call(at, "POST", "/v1/tokens", { token, body });
  };
  const wrong = await make({ role: "viewer", gateway: "one" });
  assert.equal(wrong.status, 400);
  const { body: bound } = await make({ role: "gateway", gateway: "one" });
  const { body: free } = await make({ role: "gateway" });
  assert.equal((await ack(at, "one", { token: bound.token })).status, 204);
  assert.equal((await ack(at, "two", { token: bound.token })).status, 403);
  assert.equal((await ack(at, "two", { token: free.token })).status, 204);
  process.env.TIDEGATE_TOKEN = bound.token;
  t.after(() => {
    delete process.env.TIDEGATE_TOKEN;
  });
  const trust = ["--control-plane", address(plane), "--control-plane-ca", ca];
  const gateway = await startFollower(t, plane, "one", trust);
  const gone = await call(at, "DELETE", `/v1/tokens/${bound.id}?reason=lost`, { token });
  assert.equal(gone.status, 200);
  await until(
    "the end of the stream",
    () => gateway.stderr,
    (text) => text.includes("no snapshots from the control plane"),
  );
  assert.equal((await fetch(`${gateway.url}/x`)).status, 404, "it serves on");
});

test("certificates are read again when they change; a wrong one is refused and the old one serves on", async (t) => {
  const at = await stand(t);
  const { plane, authority, server, ca } = at;
  const shown = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = tls.connect({ port: plane.port, host: "127.0.0.1", ca: authority.ca }, () => {
        resolve(socket.getPeerCertificate().serialNumber);
        socket.destroy();
      });
      socket.on("error", reject);
    });
  const before = await shown();
  const next = authority.make("IP:127.0.0.1");
  // A pair that is none, for as long as only one of the two files is new.
  copyFileSync(next.certFile, server.certFile);
  await until(
    "the refusal",
    () => plane.stderr,
    (text) => text.includes("is not the key of"),
  );
  assert.equal(await shown(), before);
  copyFileSync(next.keyFile, server.keyFile);
  await until("the new certificate", shown, (serial) => serial !== before);

  // Gateways' certificates: one is replaced while it follows, then their authority is.
  const own = authority.make(nameOf("one"));
  const gateway = await follow(t, at, "one", own);
  const renewed = authority.make(nameOf("one"));
  copyFileSync(renewed.certFile, own.certFile);
  copyFileSync(renewed.keyFile, own.keyFile);
  await until(
    "the gateway's own reload",
    () => gateway.stderr,
    (text) => text.includes("certificate for the control plane reloaded"),
  );
  const trusted = readFileSync(ca, "utf8");
  writeFileSync(ca, new Certificates(t).ca);
  await until(
    "the end of its stream",
    () => gateway.stderr,
    (text) => text.includes("no snapshots from the control plane"),
  );
  assert.equal(
    (await ack({ ...at, authority }, "one", { as: renewed }).catch(() => ({ status: 0 }))).status,
    0,
  );
  writeFileSync(ca, trusted);
  await until(
    "its return",
    () => gateway.stderr,
    (text) => text.includes("the control plane answers again"),
    20_000,
  );
});

test("a start with files that cannot be used fails with a sentence, and so does a listener in the clear", (t) => {
  const authority = new Certificates(t);
  const { certFile, keyFile } = authority.make("IP:127.0.0.1");
  const { keyFile: otherKey } = authority.make("IP:127.0.0.1");
  const none = join(authority.dir, "none.pem");
  const pair = ["--tls-cert", certFile, "--tls-key", keyFile];
  const data = join(authority.dir, "data");
  const plane: [string[], number, RegExp][] = [
    [["--tls-cert", certFile, "--tls-key", otherKey], 1, /--tls-key .*key is not the key of --tls-cert/],
    [["--tls-cert", certFile, "--tls-key", none], 1, /--tls-key .*none.pem cannot be read: ENOENT/],
    [["--tls-cert", keyFile, "--tls-key", keyFile], 1, /--tls-cert .* holds no certificate/],
    [[...pair, "--tls-client-ca", none], 1, /--tls-client-ca .*none.pem cannot be read/],
    [[...pair, "--tls-client-ca", keyFile], 1, /--tls-client-ca .* holds no certificate/],
    [["--host", "0.0.0.0"], 2, /tokens would travel in the clear; expected --tls-cert/],
  ];
  const run = (args: string[]): { status: number | null; stderr: string } =>
    spawnSync(process.execPath, [CLI, ...args], { encoding: "utf8", timeout: 20_000 });
  for (const [args, code, words] of plane) {
    const { status, stderr } = run(["control-plane", "--data", data, "--port", "0", ...args]);
    assert.equal(status, code, `${args.join(" ")}: ${stderr}`);
    assert.match(stderr, words);
  }
  const signed = ["--snapshot-key", certFile, "--state", join(authority.dir, "state")];
  const to = (url: string): string[] => ["gateway", "--control-plane", url, ...signed];
  const gateway: [string[], RegExp][] = [
    [[...to("https://127.0.0.1:1"), "--client-cert", certFile], /--client-cert and --client-key go together/],
    [[...to("http://127.0.0.1:1"), "--control-plane-ca", certFile], /need https/],
    [
      [...to("https://127.0.0.1:1"), "--control-plane-ca", none],
      /--control-plane-ca .* cannot be read: ENOENT/,
    ],
    [
      [...to("https://127.0.0.1:1"), "--client-cert", certFile, "--client-key", otherKey],
      /--client-key .* is not the key of --client-cert/,
    ],
  ];
  for (const [args, words] of gateway) {
    const { status, stderr } = run(args);
    assert.equal(status, 2, `${args.join(" ")}: ${stderr}`);
    assert.match(stderr, words);
  }
});

test("--insecure-http listens elsewhere in the clear, and says so", async (t) => {
  const plane = await startControlPlane(t, FILES, ["--host", "0.0.0.0", "--insecure-http"]);
  assert.match(plane.stderr, /http:\/\/0\.0\.0\.0:\d+, WITHOUT TLS: whoever is between reads the tokens/);
  assert.equal((await plane.call("GET", "/v1/status")).status, 401);
});

test("the CLI trusts TIDEGATE_CA, and nobody that it does not know", async (t) => {
  const { plane, ca } = await stand(t);
  const run = (more: Record<string, string>): Promise<{ code: number; text: string }> =>
    new Promise((resolve) => {
      const env = { ...process.env, TIDEGATE_CONTROL_PLANE: address(plane), ...more };
      execFile(
        process.execPath,
        [CLI, "status"],
        { env: { ...env, TIDEGATE_TOKEN: adminToken(plane) } },
        (error, out, err) => {
          resolve({ code: Number(error?.code ?? 0), text: out + err });
        },
      );
    });
  const trusting = await run({ TIDEGATE_CA: ca });
  assert.equal(trusting.code, 0, trusting.text);
  const stranger = await run({});
  assert.equal(stranger.code, 1);
  assert.match(stranger.text, /certificate/);
  const wrong = await run({ TIDEGATE_CA: "/none.pem" });
  assert.match(wrong.text, /TIDEGATE_CA \/none\.pem cannot be read: ENOENT/);
});

test("an admin token that was lost is made anew beside the running control plane, and it is on record", async (t) => {
  const plane = await startControlPlane(t, FILES, []);
  const lost = adminToken(plane);
  const { status, stderr } = spawnSync(
    process.execPath,
    [CLI, "control-plane", "--data", plane.data, "--reset-admin-token"],
    { encoding: "utf8", timeout: 20_000 },
  );
  assert.equal(status, 0, stderr);
  assert.match(stderr, /a new admin token is in .*admin\.token/);
  const found = adminToken(plane);
  assert.notEqual(found, lost);
  assert.equal(statSync(join(plane.data, "admin.token")).mode & 0o777, 0o600);
  const authorization = `Bearer ${found}`;
  await until(
    "the new token",
    async () => (await plane.call("GET", "/v1/tokens", undefined, { authorization })).status,
    (code) => code === 200,
    5_000,
  );
  const { body } = await plane.call("GET", "/v1/audit", undefined, { authorization });
  const entry = body.entries.find((e: { action: string }) => e.action === "token.break-glass");
  assert.match(entry.reason, /--reset-admin-token/);
  const verified = await plane.call("GET", "/v1/audit/verification", undefined, { authorization });
  assert.equal(verified.body.whole, true);
  const nowhere = spawnSync(
    process.execPath,
    [CLI, "control-plane", "--data", join(plane.dir, "other"), "--reset-admin-token"],
    { encoding: "utf8", timeout: 20_000 },
  );
  assert.equal(nowhere.status, 1);
  assert.match(nowhere.stderr, /there is no .*tidegate\.db; say where it is with --data/);
});
