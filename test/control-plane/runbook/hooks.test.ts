/** Calls to systems of the user's own: signed, bounded, and nowhere that the control plane was not started with. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { Hooks } from "../../../control-plane/runbook/hooks.ts";

const NOW = 1_800_000_000_000;
const SECRET = "a secret that nobody knows";

async function listener(
  t: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse, body: string) => void,
): Promise<string> {
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    answer(request, response, body);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const hooks = (...hosts: string[]): Hooks => new Hooks({ hosts, secret: SECRET, now: () => NOW });
const to = (url: string, body?: string) => ({ url, body, timeout: 300, retries: 0 });

test("a call carries its signature, its key and what it is about, and brings the answer back", async (t) => {
  let seen: { headers: IncomingMessage["headers"]; body: string } | undefined;
  const host = await listener(t, (request, response, body) => {
    seen = { headers: request.headers, body };
    response.end('{"lag": 12}');
  });
  const result = await hooks(host).call(to(`http://${host}/go`, '{"x":1}'), { plan: "p" }, "ex-1/2/1");
  assert.deepEqual(result, { ok: true, status: 200, answer: { lag: 12 } });
  assert.deepEqual(JSON.parse(seen!.body), { plan: "p", data: { x: 1 } });
  const mac = createHmac("sha256", SECRET)
    .update(`${NOW / 1000}.${seen!.body}`)
    .digest("hex");
  assert.equal(seen!.headers["tidegate-signature"], `t=${NOW / 1000},v1=${mac}`);
  assert.equal(seen!.headers["idempotency-key"], "ex-1/2/1");
});

test("what hangs, answers without end, redirects or fails is told as what it is", async (t) => {
  const never = await listener(t, () => {});
  const half = await listener(t, (_request, response) => response.write("{"));
  const flood = await listener(t, (_request, response) => response.end("x".repeat(100_000)));
  const away = await listener(t, (_request, response) =>
    response.writeHead(302, { location: `http://${never}/` }).end(),
  );
  const sick = await listener(t, (_request, response) => response.writeHead(500).end("no"));
  const garbage = await listener(t, (_request, response) => response.end("<html>"));
  const all = hooks(never, half, flood, away, sick, garbage);
  const reasonOf = async (host: string): Promise<string> => {
    const result = await all.call(to(`http://${host}/`), {}, "k");
    return result.ok ? `ok ${JSON.stringify(result.answer)}` : result.reason;
  };
  assert.match(await reasonOf(never), /no answer in 300 ms/);
  assert.match(await reasonOf(half), /no whole answer in 300 ms/);
  assert.match(await reasonOf(flood), /more than 65536 bytes/);
  assert.match(await reasonOf(away), /answered 302/);
  assert.match(await reasonOf(sick), /answered 500/);
  assert.equal(await reasonOf(garbage), "ok undefined");
  assert.match(await reasonOf("127.0.0.1:1"), /127\.0\.0\.1:1 is not a host that may be called/);
});

test("hosts that nobody named, and names that lead to the machine itself, are not called", async (t) => {
  const calls: string[] = [];
  const host = await listener(t, ({ url }, response) => {
    calls.push(url ?? "");
    response.end();
  });
  const refused = await hooks("ops.example").call(to(`http://${host}/`), {}, "k");
  assert.match(refused.ok ? "" : refused.reason, /start the control plane with --hook-host/);
  const port = host.split(":")[1];
  // `localhost.` resolves like localhost, and is not that word.
  const byName = await hooks("localhost.").call(to(`http://localhost.:${port}/`), {}, "k");
  assert.equal(byName.ok, false);
  const unsigned = new Hooks({ hosts: [host], secret: undefined, now: () => NOW });
  assert.match(unsigned.refusal(to(`http://${host}/`)) ?? "", /TIDEGATE_HOOK_SECRET/);
  assert.deepEqual(calls, []);
});
