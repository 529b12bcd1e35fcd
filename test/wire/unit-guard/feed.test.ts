/** What a guard believes of its control plane: what is signed, newer, and of its fleet; and what it has on its disk. */
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { startControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, ROUTES, until } from "../../support/gateway.ts";
import { following, guardedUnit, type Write } from "./support.ts";

const PAIR = generateKeyPairSync("ed25519");

/** A publication of a placement in which unit `sh` has so many of four slots. */
function publication(
  revision: number,
  slots: number,
  { key = PAIR.privateKey, fleet = "test", epoch = 1, tampered = false } = {},
): string {
  const map = Array.from({ length: 4 }, (_, slot) => (slot < slots ? "sh" : "hz"));
  const section = JSON.stringify({ key: [], slots: 4, map, pins: {}, epoch: 10 + revision });
  const digest = createHash("sha256").update(section).digest("base64url");
  const manifest = JSON.stringify({ fleet, epoch, revision, at: 0, sections: { placement: digest } });
  const signature = sign(null, Buffer.from(manifest), key).toString("base64");
  const sections = { [digest]: tampered ? section.replace("hz", "sh") : section };
  return `event: snapshot\ndata: ${JSON.stringify({ manifest, signature, sections, now: 0 })}\n\n`;
}

/** A control plane of which nothing is real: what it says is said to whoever listens. */
async function scripted(
  t: TestContext,
): Promise<{ url: string; say: (text: string) => void; cut: () => void }> {
  const streams = new Set<http.ServerResponse>();
  const server = http
    .createServer((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).write(": tidegate\n\n");
      streams.add(response);
      response.on("close", () => streams.delete(response));
    })
    .listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = (): void => server.closeAllConnections();
  t.after(() => {
    cut();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const say = (text: string): void => {
    for (const stream of streams) stream.write(text);
  };
  return { url, say, cut };
}

function guardOptions(url: string, state: string) {
  const snapshotKey = PAIR.publicKey.export({ type: "spki", format: "pem" }) as string;
  return { unit: "sh", state, controlPlane: { urls: [url], name: "guard", snapshotKey } };
}

test("a guard believes what is signed and newer, and nothing else", async (t) => {
  const state = mkdtempSync(join(tmpdir(), "tidegate-guard-"));
  t.after(() => rmSync(state, { recursive: true, force: true }));
  const plane = await scripted(t);
  const { app } = await guardedUnit(t, guardOptions(plane.url, state), []);
  const guard = app.tidegate;
  const status = async (slot: number, epoch: number): Promise<number> => {
    const headers = {
      "x-tidegate-unit": "sh",
      "x-tidegate-slot": `${slot}`,
      "x-tidegate-epoch": `${epoch}`,
    };
    return (await app.inject({ method: "POST", url: "/cart", headers, payload: "" })).statusCode;
  };
  assert.equal(await status(0, 11), 503, "it knows nothing");
  await until(
    "it knows",
    () => {
      plane.say(publication(1, 2));
      return guard.epoch;
    },
    (epoch) => epoch === 11,
  );
  assert.deepEqual([await status(1, 11), await status(2, 11)], [200, 421]);
  const forger = generateKeyPairSync("ed25519").privateKey;
  for (const bad of [
    publication(2, 4, { key: forger }),
    publication(2, 4, { tampered: true }),
    publication(2, 4, { fleet: "another" }),
    publication(0, 4),
    publication(9, 4, { epoch: 0 }),
    "event: snapshot\ndata: rubbish\n\n",
    'event: snapshot\ndata: {"manifest":1}\n\n',
    "event: snapshot\ndata: null\n\n",
    "event: other\ndata: {}\n\n",
  ]) {
    plane.say(bad);
  }
  plane.say(publication(3, 3));
  await until(
    "it knows the next",
    () => guard.epoch,
    (epoch) => epoch === 13,
  );
  assert.deepEqual([await status(2, 13), await status(3, 13)], [200, 421], "nothing bad was believed");
  // Cut off, it goes on with what it has, and hears the next when it is back.
  plane.cut();
  assert.equal(await status(3, 13), 421);
  await until(
    "it is back",
    () => {
      plane.say(publication(4, 1));
      return guard.epoch;
    },
    (epoch) => epoch === 14,
  );
  assert.equal(await status(1, 14), 421);

  // Another start has it from the disk, with nobody to ask; damaged, it is not believed.
  const alone = await guardedUnit(t, guardOptions("http://127.0.0.1:9", state), []);
  assert.equal(alone.app.tidegate.epoch, 14);
  const file = join(state, "placement.json");
  const text = readFileSync(file, "utf8");
  assert.ok(text.includes("hz"));
  for (const damaged of [text.replace("hz", "sh"), text.slice(0, 40), "", "null"]) {
    writeFileSync(file, damaged);
    const { app: next } = await guardedUnit(t, guardOptions("http://127.0.0.1:9", state), []);
    assert.equal(next.tidegate.epoch, -1, damaged.slice(0, 20));
  }
});

test("a real control plane tells guards the placement alone; no fence waits for one, and a token is asked for", async (t) => {
  const files = { "fleet.yaml": fleetYaml({ hz: ["http://127.0.0.1:9"] }), "routes.yaml": ROUTES };
  const plane = await startControlPlane(t, files, []);
  const admin = readFileSync(join(plane.data, "admin.token"), "utf8").trim();
  const token = async (role: string, gateway: string | undefined): Promise<string> => {
    const asked = {
      name: `${role}-${gateway}`,
      role,
      reason: "a test",
      expires: "1h",
      ...(gateway === undefined ? {} : { gateway }),
    };
    const made = await plane.call("POST", "/v1/tokens", asked, { authorization: `Bearer ${admin}` });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    return made.body.token as string;
  };
  const own = await token("gateway", "guard-hz");
  const stream = (name: string, text: string) =>
    fetch(`${plane.url}/v1/guards/${name}/stream`, {
      headers: { authorization: `Bearer ${text}` },
      signal: AbortSignal.timeout(5_000),
    });
  for (const [name, text, status] of [
    ["guard-hz", "rubbish", 401],
    ["guard-sh", own, 403],
    ["guard-hz", await token("viewer", undefined), 403],
  ] as const) {
    const answer = await stream(name, text);
    await answer.text();
    assert.equal(answer.status, status, name);
  }
  const answer = await stream("guard-hz", own);
  let text = "";
  for await (const chunk of answer.body!) {
    text += Buffer.from(chunk).toString();
    if (text.includes("event: snapshot") && text.endsWith("\n\n")) break;
  }
  const { manifest, sections } = JSON.parse(/data: (.*)\n/.exec(text)![1]!);
  assert.deepEqual(Object.keys(sections), [JSON.parse(manifest).sections.placement]);

  const options = following(plane, "hz");
  const controlPlane = { ...options.controlPlane!, token: own };
  const writes: Write[] = [];
  const { app } = await guardedUnit(t, { ...options, controlPlane }, writes);
  await until(
    "the guard knows",
    () => app.tidegate.epoch,
    (epoch) => epoch >= 0,
  );
  const { body } = await plane.call("GET", "/v1/status", undefined, { authorization: `Bearer ${admin}` });
  assert.deepEqual(body.gateways, [], "a guard is no gateway");
});
