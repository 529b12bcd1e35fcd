/** Overlays in real gateways' traffic: laid, seen, refused where two write the same, taken away, expired. */
import assert from "node:assert/strict";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { startControlPlane, startFollower, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, type TestGateway, until } from "../../support/gateway.ts";
import { namedUnit } from "../../support/named-unit.ts";

const UNITS = ["hz", "sh", "sz"];

const ROUTES = `routes:
  - { name: hall, match: { path: /hall/* }, service: hall, scope: nearest, fallback: { status: 200, file: hall.html },
      breaker: { errors: 50%, volume: 20, window: 10s, open: 5s } }
  - { name: cart, match: { path: /cart/* }, service: hall, scope: sharded, limits: [ cart ] }
limits:
  cart: { rate: 100000/s, burst: 100000 }
`;

interface Stand {
  readonly plane: TestControlPlane;
  readonly gateway: TestGateway;
  readonly addresses: Readonly<Record<string, string[]>>;
}

async function stand(t: TestContext): Promise<Stand> {
  const addresses: Record<string, string[]> = {};
  for (const name of UNITS) addresses[name] = [await namedUnit(t, name), await namedUnit(t, `${name}-2`)];
  const fleet = fleetYaml(addresses).replace(/health: .*\n/, "health: none\n");
  const plane = await startControlPlane(t, {
    "fleet.yaml": fleet,
    "routes.yaml": ROUTES,
    "hall.html": "closed",
  });
  return { plane, gateway: await startFollower(t, plane, "one"), addresses };
}

const lay = (plane: TestControlPlane, body: object) =>
  plane.call("POST", "/v1/overlays", { reason: "a test", ...body });

const serving = (gateway: TestGateway, revision: number): Promise<unknown> =>
  until(
    `revision ${revision}`,
    () => gateway.status(),
    (s) => s.servedRevision === revision,
  );

/** Who serves so many users' requests. */
async function served(
  gateway: TestGateway,
  path: string,
  users = 200,
  method = "GET",
): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let user = 0; user < users; user++) {
    const answer = await fetch(`${gateway.url}${path}`, { method, headers: { "x-user-id": `u${user}` } });
    const name = `${answer.status} ${(await answer.text()).replace("-2", "")}`;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

test("a drained unit's reads go elsewhere, its sharded writes stay, and an undrain brings all of it back", async (t) => {
  const { plane, gateway } = await stand(t);
  const before = await served(gateway, "/cart/a");
  assert.ok(before["200 sh"]! > 20, JSON.stringify(before));
  const laid = await lay(plane, { kind: "drain", unit: "sh", ramp: "0s" });
  assert.equal(laid.status, 201, JSON.stringify(laid.body));
  await serving(gateway, 2);
  const drained = await served(gateway, "/cart/a");
  assert.equal(drained["200 sh"], undefined, JSON.stringify(drained));
  assert.equal(drained["200 hz"]! + drained["200 sz"]!, 200);
  const writes = await served(gateway, "/cart/a", 200, "POST");
  assert.equal(writes["200 sh"], before["200 sh"], "another unit never takes its writes by itself");
  const seen = (await plane.call("GET", "/v1/overlays")).body.overlays;
  assert.equal(seen[0].does, "drain sh");
  const removed = await plane.call("DELETE", `/v1/overlays/${laid.body.overlay.id}?reason=over`);
  assert.equal(removed.status, 200, JSON.stringify(removed.body));
  await serving(gateway, 3);
  assert.deepEqual(await served(gateway, "/cart/a"), before);
});

test("a drain moves users by degrees, and who has moved stays moved", async (t) => {
  const { plane, gateway } = await stand(t);
  await lay(plane, { kind: "drain", unit: "sh", ramp: "3s" });
  const moved = new Set<string>();
  const shares: number[] = [];
  let back = 0;
  const own: string[] = [];
  for (let user = 0; own.length < 60; user++) {
    const answer = await fetch(`${gateway.url}/cart/a`, {
      method: "POST",
      headers: { "x-user-id": `u${user}` },
    });
    if ((await answer.text()).startsWith("sh")) own.push(`u${user}`);
  }
  for (;;) {
    for (const user of own) {
      const answer = await fetch(`${gateway.url}/cart/a`, { headers: { "x-user-id": user } });
      if ((await answer.text()).startsWith("sh")) {
        if (moved.has(user)) back++;
      } else moved.add(user);
    }
    shares.push(moved.size / own.length);
    if (moved.size === own.length || shares.length > 200) break;
  }
  assert.equal(back, 0);
  const between = shares.filter((s) => s > 0.1 && s < 0.9);
  assert.ok(between.length >= 5, `by degrees: ${shares.join(" ")}`);
  const { units } = await until(
    "the control plane says that it is drained",
    async () => (await plane.call("GET", "/v1/status")).body,
    ({ units: list }) => list[1].drained === 1 && list[1].inflight === 0,
  );
  assert.equal(units[1].drain.ramp, 3_000);
});

test("an endpoint, a limit, a pin, a route and a breaker obey their overlays, and are themselves again without", async (t) => {
  const { plane, gateway, addresses } = await stand(t);
  const ids: string[] = [];
  let revision = 1;
  const put = async (body: object): Promise<void> => {
    const laid = await lay(plane, body);
    assert.equal(laid.status, 201, JSON.stringify(laid.body));
    ids.push(laid.body.overlay.id);
    await serving(gateway, ++revision);
  };
  await put({ kind: "pin", key: "u1", unit: "sz" });
  assert.deepEqual(await served(gateway, "/cart/a", 2).then((c) => c["200 sz"]! >= 1), true);
  await put({ kind: "drain-endpoint", service: "hall", unit: "hz", endpoint: addresses.hz![0]! });
  const { endpoints } = await gateway.status();
  assert.equal(endpoints.find((e) => e.endpoint === addresses.hz![0])?.health, "drained");
  await put({ kind: "limit", limit: "cart", rate: 1, burst: 3 });
  const limited = await served(gateway, "/cart/a", 20);
  assert.ok(
    limited["429 "] === undefined && Object.keys(limited).some((k) => k.startsWith("429")),
    JSON.stringify(limited),
  );
  await put({ kind: "degrade", route: "hall" });
  assert.deepEqual(await served(gateway, "/hall/a", 5), { "200 closed": 5 });
  await plane.call("DELETE", `/v1/overlays/${ids.at(-1)}?reason=over`);
  await serving(gateway, ++revision);
  await put({ kind: "breaker", service: "hall", unit: "hz", state: "open" });
  const open = await served(gateway, "/hall/a", 10);
  assert.equal(open["200 hz"], undefined, JSON.stringify(open));
  const list = (await plane.call("GET", "/v1/overlays")).body.overlays as { id: string }[];
  assert.equal(list.length, 4);
  for (const { id } of list) {
    assert.equal((await plane.call("DELETE", `/v1/overlays/${id}?reason=over`)).status, 200);
    revision++;
  }
  await serving(gateway, revision);
  assert.equal((await served(gateway, "/hall/a", 10))["200 hz"], 10);
  assert.ok((await gateway.status()).endpoints.every((e) => e.health === "up"));
  const [first, last] = [
    await plane.call("GET", "/v1/revisions/1"),
    await plane.call("GET", `/v1/revisions/${revision}`),
  ];
  const { placement } = last.body.effective.fleet;
  assert.equal(placement.epoch, 3, "the key that was pinned has moved there and back");
  placement.epoch = 1;
  assert.deepEqual(last.body.effective, first.body.effective, "the revert is exact");
});

test("a mirrored share of a route's reads is copied, and nobody but the copy's pool hears of it", async (t) => {
  const seen: string[] = [];
  const shadow = http.createServer((request, response) => {
    seen.push(
      `${request.method} ${request.url} ${request.headers["x-tidegate-mirror"]} ${request.headers["x-user-id"]}`,
    );
    request.resume();
    response.statusCode = 500;
    response.end("nobody reads this");
  });
  await new Promise<void>((resolve) => shadow.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    shadow.closeAllConnections();
    shadow.close();
  });
  const origin = `http://127.0.0.1:${(shadow.address() as AddressInfo).port}`;
  const fleet = fleetYaml({ hz: [await namedUnit(t, "hz")] }).replace(/health: .*\n/, "health: none\n");
  const plane = await startControlPlane(t, {
    "fleet.yaml": `${fleet}  shadow: { health: none, pools: { hz: { stable: [ "${origin}" ] } } }\n`,
    "routes.yaml": ROUTES,
    "hall.html": "closed",
  });
  const gateway = await startFollower(t, plane, "one");
  const laid = await lay(plane, { kind: "mirror", route: "cart", service: "shadow", share: 0.5 });
  assert.equal(laid.status, 201, JSON.stringify(laid.body));
  await serving(gateway, 2);
  assert.deepEqual(await served(gateway, "/cart/a", 200), { "200 hz": 200 });
  assert.deepEqual(await served(gateway, "/cart/a", 50, "POST"), { "200 hz": 50 });
  assert.deepEqual(await served(gateway, "/hall/a", 50), { "200 hz": 50 });
  assert.ok(seen.length > 60 && seen.length < 140, `${seen.length} of 200`);
  assert.ok(
    seen.every((line) => /^GET \/cart\/a 1 u\d+$/.test(line)),
    seen[0] ?? "",
  );
  const counted = await gateway.metric("tidegate_mirrored_total", 'route="cart"', 'outcome="answered"');
  assert.equal(counted, seen.length);
  assert.equal((await gateway.status()).endpoints.find((e) => e.endpoint === origin)?.health, "up");
});

test("a request that is tried again is copied once", async (t) => {
  const count = async (status: number): Promise<{ origin: string; seen: string[] }> => {
    const seen: string[] = [];
    const server = http.createServer((request, response) => {
      seen.push(request.url!);
      response.statusCode = status;
      response.end("ok");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
  };
  const [ill, shadow] = [await count(503), await count(200)];
  const fleet = fleetYaml({ hz: [ill.origin, await namedUnit(t, "hz")] }).replace(
    /health: .*\n/,
    "health: none\n",
  );
  const retry = "retry: { attempts: 3, on: [ 503 ], budget: 100% }";
  const plane = await startControlPlane(t, {
    "fleet.yaml": `${fleet}  shadow: { health: none, pools: { hz: { stable: [ "${shadow.origin}" ] } } }\n`,
    "routes.yaml": `routes:\n  - { name: cart, match: { path: /cart/* }, service: hall, scope: nearest, ${retry} }\n`,
  });
  const gateway = await startFollower(t, plane, "one");
  const laid = await lay(plane, { kind: "mirror", route: "cart", service: "shadow", share: 1 });
  assert.equal(laid.status, 201, JSON.stringify(laid.body));
  await serving(gateway, 2);
  const asked = Array.from({ length: 20 }, (_, i) => `/cart/${i}`);
  for (const path of asked) assert.equal((await fetch(`${gateway.url}${path}`)).status, 200);
  assert.ok(ill.seen.length > 0, "some were tried again");
  await until("all were copied", () => shadow.seen.length >= 20);
  // Those that were tried again last may have been copied last.
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.deepEqual(shadow.seen.toSorted(), asked.toSorted());
});

test("what two would write is refused with the first one's name, unless it supersedes it", async (t) => {
  const { plane } = await stand(t);
  const first = await lay(plane, { kind: "drain", unit: "sh", reason: "racks are moved" });
  const second = await lay(plane, { kind: "drain", unit: "sh", ramp: "1m" });
  assert.equal(second.status, 409);
  assert.match(
    second.body.title,
    /overlay ov-2 \(drain sh, by dev: racks are moved\) already writes units\.sh\.drain/,
  );
  const third = await lay(plane, {
    kind: "drain",
    unit: "sh",
    ramp: "1m",
    supersedes: first.body.overlay.id,
  });
  assert.equal(third.status, 201);
  const { overlays } = (await plane.call("GET", "/v1/overlays")).body;
  assert.deepEqual(
    overlays.map((o: { id: string }) => o.id),
    [third.body.overlay.id],
  );
});

test("what makes no sense is refused, and says what would", async (t) => {
  const { plane } = await stand(t);
  const cases: [object, number, RegExp][] = [
    [{ kind: "sing" }, 400, /there is no overlay kind "sing"; expected one of drain,/],
    [{}, 400, /the overlay has no kind/],
    [{ kind: "drain", unit: "xx" }, 422, /there is no unit xx/],
    [{ kind: "drain" }, 400, /drain: the overlay must have required property .unit./],
    [{ kind: "drain", unit: "sh", ramp: "soon" }, 400, /drain: ramp must match/],
    [{ kind: "drain", unit: "sh", reason: " " }, 400, /drain: reason must match/],
    [{ kind: "drain", unit: "sh", expires: "0s" }, 400, /expires is 0s/],
    [{ kind: "weight", service: "hall", share: 1.5 }, 400, /weight: share must be <= 1/],
    [{ kind: "weight", service: "hall", share: 0.5 }, 422, /no canary endpoints/],
    [{ kind: "drain", unit: "sh", colour: "red" }, 400, /additional properties \(colour\)/],
    [{ kind: "limit", limit: "cart" }, 400, /changes nothing/],
    [{ kind: "degrade", route: "cart" }, 422, /no fallback/],
    [{ kind: "breaker", service: "hall", unit: "xx", state: "open" }, 422, /no pool in unit xx/],
    [{ kind: "drain", unit: "sh", supersedes: "ov-99" }, 404, /no overlay ov-99/],
    [{ kind: "drain", unit: "sh", expect: 7 }, 409, /revision 1 is the newest/],
  ];
  for (const [body, status, message] of cases) {
    const answer = await lay(plane, body);
    assert.equal(answer.status, status, `${JSON.stringify(body)}: ${JSON.stringify(answer.body)}`);
    assert.match(answer.body.title, message, JSON.stringify(body));
    assert.match(answer.headers.get("content-type") ?? "", /^application\/problem\+json/);
  }
  assert.equal((await plane.call("GET", "/v1/status")).body.revision.number, 1, "nothing was changed");
});

test("an overlay ends by itself when it expires, and a base that it does not fit is refused", async (t) => {
  const { plane, gateway } = await stand(t);
  await lay(plane, { kind: "drain", unit: "sh", ramp: "0s", expires: "1s" });
  const { files } = (await plane.call("GET", "/v1/config")).body;
  const without = { ...files, "fleet.yaml": files["fleet.yaml"].replaceAll("sh", "bj") };
  const refused = await plane.call("PUT", "/v1/config", { files: without, reason: "another unit" });
  assert.equal(refused.status, 422);
  assert.match(refused.body.title, /overlay ov-2 \(drain sh\) does not fit: there is no unit sh/);
  await serving(gateway, 3);
  const { revisions } = (await plane.call("GET", "/v1/revisions")).body;
  assert.equal(revisions[0].cause, "expiry");
  assert.match(revisions[0].reason, /expired: ov-2/);
  const applied = await plane.call("PUT", "/v1/config", { files: without, reason: "another unit" });
  assert.equal(applied.status, 200, JSON.stringify(applied.body));
});
