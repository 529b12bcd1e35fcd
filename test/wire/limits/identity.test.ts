/** Whose bucket a request takes from, and what strangers may say of themselves. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { raw, startGateway, wholeAnswer } from "../../support/gateway.ts";
import { files, startLimited, statuses, upstream } from "./support.ts";

const KEYS = "identity: { apiKey: x-api-key, tenant: [ { header: x-tenant }, { query: tenant } ] }\n";
const by = (...what: string[]) => ({
  limits: `  a: { rate: 1/h, burst: 1, by: [ ${what.map((w) => `"${w}"`).join(", ")} ] }`,
  route: "a",
  gateway: KEYS,
});

test("a stranger's X-Forwarded-For makes no other client of it", async (t) => {
  const given = files(await upstream(t), by("client"));
  const gateway = await startGateway(t, { ...given, "gateway.yaml": KEYS });
  assert.deepEqual(await statuses(gateway, 1, { "x-forwarded-for": "192.0.2.1" }), [200]);
  assert.deepEqual(await statuses(gateway, 2, { "x-forwarded-for": "192.0.2.2" }), [429, 429]);
});

test("of what a trusted peer forwards, the last that is not trusted counts", async (t) => {
  const gateway = await startLimited(t, by("client"));
  const from = (text: string) => statuses(gateway, 1, { "x-forwarded-for": text });
  assert.deepEqual(await from("198.51.100.7, 192.0.2.1"), [200]);
  assert.deepEqual(await from("203.0.113.9, 192.0.2.1"), [429], "what the client wrote itself is nothing");
  assert.deepEqual(await from("192.0.2.1, 192.0.2.2"), [200]);
});

test("an empty key is none, and saying an address is not being there", async (t) => {
  const gateway = await startLimited(t, by("client"));
  assert.deepEqual(await statuses(gateway, 1, { "x-api-key": "127.0.0.1" }), [200]);
  assert.deepEqual(await statuses(gateway, 1), [200], "the address has its own bucket");
  assert.deepEqual(await statuses(gateway, 1, { "x-api-key": "" }), [429]);
  assert.deepEqual(await statuses(gateway, 1, { "x-api-key": "127.0.0.1" }), [429]);
});

test("a key in other letters is another key, and its header has no case", async (t) => {
  const gateway = await startLimited(t, by("client"));
  assert.deepEqual(await statuses(gateway, 1, { "X-API-KEY": "abc" }), [200]);
  assert.deepEqual(await statuses(gateway, 1, { "x-api-key": "abc" }), [429]);
  assert.deepEqual(await statuses(gateway, 1, { "x-api-key": "ABC" }), [200]);
});

/** The status of a request with these fields, in their order and as often as they are given. */
async function told(port: number, ...fields: string[]): Promise<string> {
  const head = `GET /hall/a HTTP/1.1\r\nHost: h\r\n${fields.map((f) => `${f}\r\n`).join("")}\r\n`;
  return (await raw(port, head, wholeAnswer)).slice(9, 12);
}

test("who names two keys, tenants or shops is counted by address: the unit might read the other one", async (t) => {
  for (const [what, name] of [
    ["client", "X-Api-Key"],
    ["tenant", "X-Tenant"],
    ["header:x-shop", "X-Shop"],
  ] as const) {
    const gateway = await startLimited(t, by(what));
    let passed = 0;
    for (let i = 0; i < 8; i++) {
      const pair = [`${name}: own`, `${name}: made-up-${i}`];
      if ((await told(gateway.port, ...(i % 2 === 0 ? pair : pair.reverse()))) === "200") passed++;
    }
    assert.ok(passed <= 1, `${what}: ${passed} of 1`);
    await gateway.stop("SIGKILL");
  }
});

test("a user is who the partition key names, wherever it stands", async (t) => {
  const gateway = await startLimited(t, by("user"));
  assert.deepEqual(await statuses(gateway, 1, { "x-user-id": "ann" }), [200]);
  assert.deepEqual(await statuses(gateway, 1, { cookie: "uid=ann" }), [429]);
  assert.deepEqual(await statuses(gateway, 1, {}, "/hall/a?uid=ann"), [429]);
  assert.deepEqual(await statuses(gateway, 1, {}, "/hall/a?uid=a%6en"), [429]);
  assert.deepEqual(await statuses(gateway, 1, { cookie: "uid=bob" }), [200]);
});

test("a tenant is the first source that names one, and of a query the first value", async (t) => {
  const gateway = await startLimited(t, by("tenant"));
  assert.deepEqual(await statuses(gateway, 1, {}, "/hall/a?tenant=a&tenant=b"), [200]);
  assert.deepEqual(await statuses(gateway, 1, { "x-tenant": "a" }), [429]);
  assert.deepEqual(await statuses(gateway, 1, { "x-tenant": "b" }, "/hall/a?tenant=a"), [200]);
  assert.deepEqual(await statuses(gateway, 1, {}, "/hall/a?tenant="), [200], "none: by address");
});

test("of several dimensions each combination has a bucket, and their places are not mixed up", async (t) => {
  const gateway = await startLimited(t, by("tenant", "header:x-shop", "route"));
  const ask = (tenant: string, shop: string, path = "/hall/a") =>
    statuses(gateway, 1, { "x-tenant": tenant, "x-shop": shop, "x-user-id": "ann" }, path);
  assert.deepEqual(await ask("a", "b"), [200]);
  assert.deepEqual(await ask("a", "b"), [429]);
  assert.deepEqual(await ask("b", "a"), [200]);
  assert.deepEqual(await ask("ab", ""), [200]);
  assert.deepEqual(await ask("a", "c"), [200]);
  assert.deepEqual(await ask("a", "b", "/cart/a"), [200]);
});

test("by unit, each unit's requests count for it alone; with all units gone there is an answer still", async (t) => {
  const gone = "http://127.0.0.1:9"; // discard: nobody listens
  const given = files(gone, by("unit"));
  const gateway = await startGateway(t, given);
  const [first, second] = await statuses(gateway, 2);
  assert.ok(first === 502 || first === 503, `${first}`);
  assert.equal(second, 429, "a request that found nobody took its token");
});

test("a key of 8 KiB costs what a short one does, within reason", async (t) => {
  const gateway = await startLimited(t, {
    ...by("client"),
    limits: "  a: { rate: 1/h, burst: 1000000, by: [client] }",
  });
  const time = async (key: string): Promise<number> => {
    const began = performance.now();
    await statuses(gateway, 200, { "x-api-key": key });
    return performance.now() - began;
  };
  await time("warm");
  await time("w".repeat(8_192));
  const [short, long] = [await time("k"), await time("k".repeat(8_192))];
  assert.ok(
    long < short * 4 + 200,
    `200 requests: ${Math.round(short)} ms short, ${Math.round(long)} ms long`,
  );
});
