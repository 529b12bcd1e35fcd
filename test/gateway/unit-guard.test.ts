/** The unit guard in an app of its own: what it lets in, what it refuses and how, and what it remembers. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import fastify, { type FastifyInstance } from "fastify";
import { unitGuard, type UnitGuardOptions } from "../../gateway/unit-guard.ts";

const NOW = 1_800_000_000_000;
const SECRET = "nobody knows";
/** Of unit `sh`: 2 and 3 of four slots. */
const PLACEMENT = { slots: 4, map: ["hz", "hz", "sh", "sh"], pins: { ann: "sh" }, epoch: 7 };
const OPTIONS: UnitGuardOptions = { unit: "sh", placement: PLACEMENT, now: () => NOW };

async function guarded(
  t: TestContext,
  options: UnitGuardOptions = OPTIONS,
): Promise<{ app: FastifyInstance; handled: () => number }> {
  const app = fastify({ forceCloseConnections: true });
  let handled = 0;
  await app.register(unitGuard, options);
  // In a scope of its own, as apps are built: the guard is before it all the same.
  await app.register(async (scope) => {
    scope.all("/*", async (request) => {
      handled++;
      return { context: request.tidegate };
    });
  });
  t.after(() => app.close());
  return { app, handled: () => handled };
}

function stamped(slot: number, epoch: number | string = 7, more: Record<string, string> = {}) {
  return {
    "x-tidegate-unit": "sh",
    "x-tidegate-epoch": `${epoch}`,
    ...(slot === -1 ? {} : { "x-tidegate-slot": `${slot}` }),
    ...more,
  };
}

const post = async (app: FastifyInstance, headers: Record<string, string>, url = "/cart/x") => {
  const answer = await app.inject({ method: "POST", url, headers });
  return { status: answer.statusCode, guard: answer.headers["x-tidegate-guard"], body: answer.json() };
};

describe("the unit guard", () => {
  it("lets in what is its unit's own, and says what it knows of it", async (t) => {
    const { app, handled } = await guarded(t);
    const trace = {
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      baggage: "a=b",
    };
    const { status, body } = await post(app, stamped(2, 7, trace));
    assert.equal(status, 200);
    assert.deepEqual(body.context, { unit: "sh", slot: 2, epoch: 7, ...trace });
    assert.equal((await post(app, stamped(-1))).status, 200, "a write of no slot");
    assert.equal(
      (await post(app, stamped(0, 7, { "x-tidegate-pin": "ann" }))).status,
      200,
      "a key by hand, whoever has its slot",
    );
    assert.equal(handled(), 3);
    assert.equal(app.tidegate.refused.size, 0);
  });

  it("refuses writes that are another unit's with 421, the right unit and the way out", async (t) => {
    const { app, handled } = await guarded(t);
    const { status, guard, body } = await post(app, stamped(1));
    assert.deepEqual([status, guard], [421, "elsewhere"]);
    assert.deepEqual(
      { ...body, detail: "" },
      {
        type: "urn:tidegate:problem:guard-misdirected",
        title: "The request is not for this unit",
        ...{ status: 421, cause: "elsewhere", unit: "sh", slot: 1, epoch: 7, knownEpoch: 7, owner: "hz" },
        detail: "",
      },
    );
    assert.match(body.detail, /slot 1 lives in hz by epoch 7/);
    const other = await post(app, { ...stamped(1), "x-tidegate-unit": "hz" });
    assert.deepEqual([other.status, other.guard], [421, "unit"]);
    assert.match(other.body.detail, /meant for unit hz, and this is sh/);
    assert.equal(handled(), 0);
    assert.deepEqual([...app.tidegate.refused], [...new Map([["elsewhere", 1] as const, ["unit", 1]])]);
  });

  it("lets reads in that fail over, but not those that were meant for another unit", async (t) => {
    const { app } = await guarded(t);
    const get = (headers: Record<string, string>) => app.inject({ method: "GET", url: "/cart/x", headers });
    assert.equal((await get(stamped(1, 3))).statusCode, 200);
    assert.equal((await get({})).statusCode, 200);
    assert.equal((await get({ ...stamped(1), "x-tidegate-unit": "hz" })).statusCode, 421);
    // Nobody knows what goes through a tunnel.
    assert.equal((await get(stamped(1, 7, { upgrade: "websocket" }))).statusCode, 421);
  });

  it("refuses writes that came through no gateway, but where it is told not to", async (t) => {
    const { app } = await guarded(t);
    const { status, guard, body } = await post(app, {});
    assert.deepEqual([status, guard], [421, "unstamped"]);
    assert.match(body.detail, /send it through one/);
    assert.equal((await post(app, {}, "/healthz?deep=1")).status, 200);
    const open = await guarded(t, { ...OPTIONS, unstamped: "accept" });
    const taken = await post(open.app, {});
    assert.deepEqual([taken.status, taken.body.context], [200, null]);
    const exempt = await guarded(t, { ...OPTIONS, exempt: ["/jobs"] });
    assert.equal((await post(exempt.app, {}, "/jobs")).status, 200);
    assert.equal((await post(exempt.app, {}, "/jobs/1")).status, 421);
  });

  it("knows nothing at first: writes of slots are refused with 503, or taken where it is told so", async (t) => {
    const { app } = await guarded(t, { unit: "sh" });
    const { status, guard, body } = await post(app, stamped(2));
    assert.deepEqual([status, guard], [503, undefined]);
    assert.match(body.detail, /see that its guard reaches the control plane/);
    assert.equal((await app.inject({ url: "/cart/x", headers: stamped(2) })).statusCode, 200);
    const open = await guarded(t, { unit: "sh", whenUnknown: "accept" });
    assert.equal((await post(open.app, stamped(2))).status, 200);
  });

  it("reads nothing into fields that it cannot read", async (t) => {
    const { app, handled } = await guarded(t);
    for (const [what, headers] of Object.entries({
      "no unit": { "x-tidegate-slot": "2", "x-tidegate-epoch": "7" },
      "an empty unit": stamped(2, 7, { "x-tidegate-unit": "" }),
      "two units": stamped(2, 7, { "x-tidegate-unit": "sh, sh" }),
      "a long unit": stamped(2, 7, { "x-tidegate-unit": "s".repeat(300) }),
      "no epoch": { "x-tidegate-unit": "sh", "x-tidegate-slot": "2" },
      "an epoch that is no number": stamped(2, "seven"),
      "two epochs": stamped(2, "7, 7"),
      "a negative epoch": stamped(2, "-1"),
      "a fraction": stamped(2, "7.5"),
      "an epoch of scientists": stamped(2, "1e9"),
      "a huge epoch": stamped(2, "9".repeat(16)),
      "an empty epoch": stamped(2, ""),
      "a slot that is no number": stamped(-1, 7, { "x-tidegate-slot": "two" }),
      "two slots": stamped(-1, 7, { "x-tidegate-slot": "2, 3" }),
      "a slot beyond any": stamped(65_536),
      "a key without a slot": stamped(-1, 7, { "x-tidegate-pin": "ann" }),
      "a key that is not percent-encoded": stamped(2, 7, { "x-tidegate-pin": "%zz" }),
      "a long key": stamped(2, 7, { "x-tidegate-pin": "a".repeat(8_193) }),
    })) {
      const { status, guard, body } = await post(app, headers);
      assert.deepEqual(
        [status, guard, body.type],
        [400, undefined, "urn:tidegate:problem:guard-malformed"],
        what,
      );
    }
    // Beyond the placement, but not beyond any: nobody's.
    assert.equal((await post(app, stamped(4))).body.cause, "elsewhere");
    // A newer epoch than any gateway can have: who can send it can send anything.
    assert.equal((await post(app, stamped(1, "9".repeat(15)))).status, 200);
    assert.equal(handled(), 1);
  });

  it("takes a field that comes twice on the wire for none that it can read", async (t) => {
    const { app } = await guarded(t);
    await app.listen({ port: 0, host: "127.0.0.1" });
    const { port } = app.server.address() as AddressInfo;
    const headers = [
      "host",
      "x",
      "x-tidegate-unit",
      "sh",
      "x-tidegate-slot",
      "2",
      "x-tidegate-epoch",
      "7",
      "content-length",
      "0",
    ];
    const status = (twice: readonly string[]) =>
      new Promise<number>((resolve, reject) => {
        const request = http.request({
          ...{ host: "127.0.0.1", port, method: "POST", path: "/cart/x", agent: false },
          headers: [...headers, ...twice] as never,
        });
        request.on("error", reject);
        request.on("response", (response) => {
          response.resume();
          resolve(response.statusCode!);
        });
        request.end();
      });
    assert.equal(await status([]), 200);
    for (const field of ["x-tidegate-unit", "x-tidegate-slot", "x-tidegate-epoch"]) {
      assert.equal(await status([field, "2"]), 400, field);
    }
  });

  it("does not start without a unit, or with a key that is none", async (t) => {
    const app = fastify();
    t.after(() => app.close());
    await assert.rejects(async () => await app.register(unitGuard, { unit: "" }), /does not know its unit/);
    const controlPlane = { urls: ["http://127.0.0.1:9"], name: "a", snapshotKey: "rubbish" };
    const second = fastify();
    t.after(() => second.close());
    await assert.rejects(
      async () => await second.register(unitGuard, { unit: "sh", controlPlane }),
      /snapshotKey is no public key/,
    );
  });
});

describe("the unit guard's catch-up", () => {
  const PATH = "/tidegate/catch-up";
  const catchUp = { path: PATH, secret: SECRET };
  const transfer = {
    slots: [{ first: 2, last: 2 }],
    keys: ["ann"],
    ...{ unit: "hz", back: false, epoch: 7, revision: 12 },
  };
  const signed = (text: string, at = NOW, secret = SECRET) => {
    const seconds = Math.floor(at / 1000);
    const hex = createHmac("sha256", secret).update(`${seconds}.${text}`).digest("hex");
    return `t=${seconds},v1=${hex}`;
  };
  const call = (
    app: FastifyInstance,
    text: string,
    signature: string | undefined,
    type = "application/json",
  ) =>
    app.inject({
      ...{ method: "POST", url: PATH, payload: text },
      headers: {
        "content-type": type,
        ...(signature === undefined ? {} : { "tidegate-signature": signature }),
      },
    });

  it("closes slots and keys up to its epoch, and says whether the data is there", async (t) => {
    let isThere = false;
    const { app } = await guarded(t, { ...OPTIONS, catchUp: { ...catchUp, arrived: () => isThere } });
    const text = JSON.stringify({ execution: "ex-1", transfer });
    const first = await call(app, text, signed(text));
    assert.equal(first.statusCode, 202, first.body);
    assert.deepEqual(first.json(), { unit: "sh", closed: 2, arrived: false });
    isThere = true;
    assert.equal((await call(app, text, signed(text))).statusCode, 200);
    assert.deepEqual((await post(app, stamped(2))).body.cause, "closed");
    assert.deepEqual((await post(app, stamped(0, 7, { "x-tidegate-pin": "ann" }))).body.cause, "closed");
    assert.equal((await post(app, stamped(3))).status, 200);
    assert.equal((await post(app, stamped(2, 8))).status, 200, "under the next epoch");
    const back = { leadership: 1, revision: 13, placement: { key: [], ...PLACEMENT } };
    assert.equal(app.tidegate.learn(back), true);
    assert.equal((await post(app, stamped(2))).status, 200, "it stayed");
  });

  it("closes nothing for who cannot sign, and for what it cannot read", async (t) => {
    const { app } = await guarded(t, { ...OPTIONS, catchUp });
    const text = JSON.stringify({ transfer });
    const old = signed(text, NOW - 301_000);
    for (const [what, signature] of Object.entries({
      nothing: undefined,
      rubbish: "rubbish",
      another: signed(text, NOW, "a guess"),
      old,
      early: signed(text, NOW + 302_000),
      "of another text": signed(`${text} `),
      short: "t=1,v1=00",
    })) {
      assert.equal((await call(app, text, signature)).statusCode, 401, what);
    }
    for (const [what, bad] of Object.entries({
      "no JSON": "{",
      nothing: "null",
      "no transfer": "{}",
      "no slots": JSON.stringify({ transfer: { ...transfer, slots: undefined } }),
      "a slot beyond any": JSON.stringify({ transfer: { ...transfer, slots: [{ first: 0, last: 65_536 }] } }),
      "a range backwards": JSON.stringify({ transfer: { ...transfer, slots: [{ first: 3, last: 1 }] } }),
      "an epoch of text": JSON.stringify({ transfer: { ...transfer, epoch: "7" } }),
      "a key that is no text": JSON.stringify({ transfer: { ...transfer, keys: [1] } }),
    })) {
      const answer = await call(app, bad, signed(bad));
      assert.equal(answer.statusCode, 400, what);
      assert.match(answer.json().type, /guard-catch-up/);
    }
    assert.equal((await call(app, text, signed(text), "text/plain")).statusCode, 415);
    assert.equal((await post(app, stamped(2))).status, 200);
  });

  it("is not forgotten by a restart, and not said to hold where it would be", async (t) => {
    const state = mkdtempSync(join(tmpdir(), "tidegate-guard-"));
    t.after(() => rmSync(state, { recursive: true, force: true }));
    const options = { ...OPTIONS, catchUp, state };
    const text = JSON.stringify({ transfer });
    const first = await guarded(t, options);
    assert.equal((await call(first.app, text, signed(text))).statusCode, 200);
    const second = await guarded(t, options);
    assert.equal((await post(second.app, stamped(2))).body.cause, "closed");
    // Nothing can be written aside.
    mkdirSync(join(state, "closings.json.new"));
    assert.equal((await call(second.app, text, signed(text))).statusCode, 503);
    writeFileSync(join(state, "closings.json"), "{}");
    await assert.rejects(guarded(t, options), /closings\.json is damaged/);
  });
});
