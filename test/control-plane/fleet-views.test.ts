import assert from "node:assert/strict";
import { test } from "node:test";
import { fleetViews } from "../../control-plane/fleet-views.ts";
import type { Report } from "../../model/report.ts";

const report = (changes: Partial<Report>): Report => ({ epoch: 1, revision: 1, units: {}, ...changes });
const pool = (usable: number) => ({
  service: "hall",
  unit: "hz",
  version: "stable" as const,
  usable,
  total: 3,
});
const breaker = { service: "hall", unit: "hz", state: "half-open", forced: null } as const;

test("no gateway is no data; all well is nothing to say", () => {
  assert.equal(fleetViews([]), null);
  assert.deepEqual(fleetViews([report({})]), {
    gateways: 1,
    pools: [],
    breakers: [],
    limits: { leasing: 0, sharing: 0 },
  });
});

test("the worst that any gateway sees counts, and how many see something", () => {
  const views = fleetViews([
    report({ pools: [pool(2)], breakers: [breaker], limits: { leasing: true, gateways: 3 } }),
    report({
      pools: [pool(0)],
      breakers: [{ ...breaker, state: "open" }],
      limits: { leasing: false, gateways: 1 },
    }),
    report({
      pools: [pool(1)],
      breakers: [{ ...breaker, state: "closed", forced: "closed" }],
      limits: { leasing: null, gateways: 1 },
    }),
    report({}),
  ]);
  assert.deepEqual(views, {
    gateways: 4,
    pools: [{ ...pool(0), seenBy: 3 }],
    breakers: [{ service: "hall", unit: "hz", state: "open", forced: "closed", seenBy: 3 }],
    limits: { leasing: 1, sharing: 1 },
  });
});
