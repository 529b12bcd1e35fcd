/** Every plan of configs/double11/plans, run on a real fleet under traffic, seen to do what it says, and taken back. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createParser } from "eventsource-parser";
import type { FedUnit, FleetNow } from "../../../control-plane/fleet-now.ts";
import type { Execution } from "../../../control-plane/runbook/execution.ts";
import { until } from "../../support/gateway.ts";
import { type Stage, startStage, startTraffic } from "../console/support.ts";

const SHIPPED = join(import.meta.dirname, "../../../configs/double11/plans");
const PLANS = Object.fromEntries(
  readdirSync(SHIPPED).map((name) => [`plans/${name}`, readFileSync(join(SHIPPED, name), "utf8")]),
);
const ROUTES = `routes:
  - name: hall
    match: { path: /hall/* }
    service: hall
    scope: nearest
    fallback: { status: 204 }
    limits: [ hall-per-client ]
  - { name: cart, match: { path: /cart/* }, service: hall, scope: sharded, limits: [ writes-fleet ] }
  - { name: orders, match: { path: /orders/* }, service: hall, scope: center }
limits:
  hall-per-client: { rate: 1000/s, burst: 1000, by: [client] }
  writes-fleet: { rate: 100000/s, burst: 100000, by: [], scope: gateway }
`;

interface Run {
  readonly values: Readonly<Record<string, string>>;
  /** Before it, and undone after it. */
  readonly before?: (stage: Stage) => Promise<void>;
  readonly after?: (stage: Stage) => Promise<void>;
  /** What it did, while it holds. */
  readonly did: (stage: Stage) => Promise<void>;
}

async function unitOf({ plane, admin }: Stage, name: string): Promise<FedUnit> {
  const answer = await fetch(`${plane.url}/v1/fleet/watch`, { headers: admin });
  let fleet: FleetNow | undefined;
  const parser = createParser({
    onEvent: ({ event, data }) => {
      if (event === "fleet") fleet ??= JSON.parse(data) as FleetNow;
    },
  });
  const decoder = new TextDecoder();
  for await (const chunk of answer.body!) {
    parser.feed(decoder.decode(chunk, { stream: true }));
    if (fleet !== undefined) break;
  }
  return fleet!.units.find(({ unit }) => unit === name)!;
}

const hall = async ({ gateway }: Stage): Promise<number> => {
  const answer = await fetch(`${gateway.url}/hall/1`);
  await answer.arrayBuffer();
  return answer.status;
};
const limitOf = async ({ gateway }: Stage): Promise<number> => {
  let passed = 0;
  for (let i = 0; i < 200; i += 20) {
    const all = await Promise.all(
      Array.from({ length: 20 }, () =>
        fetch(`${gateway.url}/hall/1`, { headers: { "x-api-key": "one" } }).then(async (answer) => {
          await answer.arrayBuffer();
          return answer.status;
        }),
      ),
    );
    passed += all.filter((status) => status === 200).length;
  }
  return passed;
};
const drained = (stage: Stage, name: string) =>
  until(
    `${name} is drained`,
    () => unitOf(stage, name),
    (unit) => unit.drained === 1,
  );
const ZERO = async (stage: Stage): Promise<void> => {
  assert.equal((await unitOf(stage, "sz")).slots, 0, "nobody lives there");
};

const RUNS: Readonly<Record<string, Run>> = {
  "degrade-non-critical": {
    values: {},
    did: async (stage) => {
      await until(
        "the fallback",
        () => hall(stage),
        (status) => status === 204,
      );
    },
  },
  "drain-region": {
    values: { region: "shenzhen", ramp: "1s" },
    did: async (stage) => void (await drained(stage, "sz")),
  },
  "evacuate-unit": { values: { unit: "sz", to: "hz,sh", batch: "512", ramp: "0s" }, did: ZERO },
  "fail-over-dead-unit": {
    values: { unit: "sz", to: "hz,sh" },
    before: async (stage) => {
      stage.units.sz!.kill();
      await until(
        "sz is dead",
        () => unitOf(stage, "sz"),
        ({ healthy }) => healthy === false,
      );
    },
    did: ZERO,
    after: async (stage) => {
      await stage.units.sz!.start();
      await until(
        "sz is back",
        () => unitOf(stage, "sz"),
        ({ healthy }) => healthy === true,
      );
    },
  },
  "pre-peak-limits": {
    values: { hall: "5%", writes: "60000/s" },
    did: async (stage) => assert.ok((await limitOf(stage)) < 150, "twenty times less than a thousand"),
  },
  "return-to-normal": {
    values: {},
    before: async ({ plane, admin }) => {
      const drain = { kind: "drain", unit: "sz", ramp: "0s", reason: "a test" };
      assert.equal((await plane.call("POST", "/v1/overlays", drain, admin)).status, 201);
    },
    did: async (stage) => {
      await until(
        "sz has work",
        () => unitOf(stage, "sz"),
        ({ drained: share }) => share === 0,
      );
    },
    after: async ({ plane, admin }) => {
      const { overlays } = (await plane.call("GET", "/v1/overlays", undefined, admin)).body;
      for (const { id } of overlays as { id: string }[]) {
        await plane.call("DELETE", `/v1/overlays/${id}`, { reason: "a test" }, admin);
      }
    },
  },
  "shed-sheddable": {
    values: { left: "1%" },
    did: async (stage) => assert.ok((await limitOf(stage)) < 60, "a hundredth of a thousand"),
  },
};

test("each plan that is shipped runs on a fleet under traffic, does what it says, and is taken back", async (t) => {
  const stage = await startStage(t, { "routes.yaml": ROUTES, ...PLANS });
  assert.deepEqual(
    Object.keys(RUNS)
      .map((name) => `plans/${name}.yaml`)
      .sort(),
    Object.keys(PLANS).sort(),
  );
  startTraffic(t, stage);
  const { plane, admin } = stage;
  const bob = { authorization: `Bearer ${await stage.token("bob", "approver")}` };
  const read = async (id: string): Promise<Execution> =>
    (await plane.call("GET", `/v1/executions/${id}`, undefined, admin)).body;
  for (const [name, { values, before, did, after }] of Object.entries(RUNS)) {
    const began = performance.now();
    await before?.(stage);
    const dry = await plane.call("POST", `/v1/plans/${name}/dry-run`, { values }, admin);
    assert.equal(dry.status, 200, `${name}: ${JSON.stringify(dry.body)}`);
    const body = { plan: name, values, reason: "a test" };
    const made = await plane.call("POST", "/v1/executions", body, admin);
    assert.equal(made.status, 201, `${name}: ${JSON.stringify(made.body)}`);
    const { id } = made.body;
    let approved = false;
    const done = await until(
      `${name} is done`,
      async () => {
        const now = await read(id);
        const waits = Object.values(now.runs).some(
          ({ state, approvals }) => state === "running" && approvals !== undefined,
        );
        const asks = now.steps.some(
          ({ kind, path }) => kind === "approve" && now.runs[path]?.state === "running",
        );
        if ((asks || waits) && !approved) {
          const agreed = await plane.call(
            "POST",
            `/v1/executions/${id}/approve`,
            { reason: "a test", digest: now.digest },
            bob,
          );
          approved = agreed.status === 200;
        }
        return now;
      },
      ({ state }) => state !== "running",
      40_000,
    );
    assert.equal(done.state, "succeeded", `${name}: ${done.says}`);
    await did(stage);
    assert.equal(
      (await plane.call("POST", `/v1/executions/${id}/revert`, { reason: "a test" }, admin)).status,
      200,
    );
    const reverted = await until(
      `${name} is taken back`,
      () => read(id),
      ({ state }) => state !== "reverting" && state !== "succeeded",
      40_000,
    );
    assert.equal(reverted.state, "reverted", `${name}: ${reverted.says}`);
    assert.equal(reverted.proof?.effective, reverted.proof?.without, name);
    await after?.(stage);
    t.diagnostic(
      `${name}: ${Math.round(performance.now() - began)} ms${approved ? ", with an approval" : ""}`,
    );
  }
});
