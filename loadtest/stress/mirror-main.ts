/** What users of a mirrored route notice of it: nothing, however the pool behaves that gets the copies. */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Plane } from "../control-plane/plane.ts";
import { Load } from "../load/load.ts";
import { Stage, type StagedUnit } from "../overload/processes.ts";

/** Promise: the p99 of mirrored requests, in times of theirs without copies, and milliseconds of nobody's fault. */
const [TIMES, SLACK] = [1.1, 2];

const { values } = parseArgs({
  options: {
    rate: { type: "string", default: "200" },
    seconds: { type: "string", default: "5" },
    rounds: { type: "string", default: "3" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  console.log(`npm run bench:mirror -- [options]

  --rate N      requests a second (200)
  --seconds N   of each stretch (5)
  --rounds N    stretches of each kind, in turn (3)
  --json        the figures as JSON

It ends with 1 when a mirrored request failed, or the p99 with copies is above ${TIMES} times that without and ${SLACK} ms.`);
  process.exit(0);
}
process.on("SIGINT", () => process.exit(130));

const stage = new Stage();
const [unit, shadow] = [
  await stage.unit("hz", { workers: 50, work: 10 }),
  await stage.unit("hz", {}, "shadow"),
];
const plane = new Plane();
await plane.start({
  "fleet.yaml": `fleet: mirrored
regions: { r: {} }
units: { hz: { region: r, center: true } }
placement: { key: [ { header: x-user-id } ], slots: 64, map: { hz: 0-63 } }
services:
  shop: { health: none, pools: { hz: { stable: [ "${unit.url}" ] } } }
  shadow: { health: none, pools: { hz: { stable: [ "${shadow.url}" ] } } }
`,
  "routes.yaml": "routes:\n  - { name: hall, match: { path: /hall/* }, service: shop, scope: nearest }\n",
});
const port = await plane.gateway("one");
const load = new Load({
  ...{ port, rate: Number(values.rate), timeout: 5_000, seed: 5 },
  classes: [
    { name: "reads", share: 0.8, path: "/hall/1" },
    { name: "writes", share: 0.2, path: "/hall/1", method: "POST" },
  ],
});

/** How the pool that gets the copies behaves. */
const KINDS: Readonly<Record<string, ((unit: StagedUnit) => Promise<void>) | undefined>> = {
  "no copies": undefined,
  "copies, pool well": (one) => one.turn({ mode: "ok" }),
  "copies, pool slow by 1 s": (one) => one.turn({ mode: "slow", ms: 1_000 }),
  "copies, pool hangs": (one) => one.turn({ mode: "hang" }),
  "copies, pool fails": (one) => one.turn({ mode: "fail" }),
};
const seconds = Number(values.seconds);
await sleep(3_000);
for (let round = 0; round < Number(values.rounds); round++) {
  for (const [name, turn] of Object.entries(KINDS)) {
    const id = turn === undefined ? undefined : await mirror();
    await turn?.(shadow);
    await sleep(500);
    load.phase(name);
    await sleep(seconds * 1_000);
    load.phase("between");
    if (id !== undefined) await unmirror(id);
  }
}
const copies = (await shadow.report()).total;
await load.stop();
const rows = Object.keys(KINDS).map((name) => {
  const phases = load.phases.filter((phase) => phase.name === name);
  const p99s = phases.map((phase) => phase.all.latency(0.99)).sort((a, b) => a - b);
  const all = phases.map((phase) => phase.all).reduce((sum, one) => sum.add(one));
  return {
    name,
    sent: all.sent,
    failed: all.sent - all.ok,
    p50: all.latency(0.5),
    /** The median of the stretches: one that this machine slept through says nothing. */
    p99: p99s[Math.floor((p99s.length - 1) / 2)]!,
  };
});
const without = rows[0]!.p99;
const missed = rows.flatMap(({ name, failed, p99 }) => [
  ...(failed > 0 ? [`${name}: ${failed} requests failed`] : []),
  ...(p99 > without * TIMES + SLACK
    ? [`${name}: p99 ${p99.toFixed(1)} ms, ${without.toFixed(1)} ms without`]
    : []),
]);
if (values.json) console.log(JSON.stringify({ rows, copies, missed }, null, 2));
else {
  for (const { name, sent, failed, p50, p99 } of rows) {
    console.log(
      `${name.padEnd(26)} ${sent} sent, ${failed} failed, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`,
    );
  }
  console.log(`${copies} copies arrived; generator late by ${load.phases.at(-1)!.lag.toFixed(1)} ms (p99)`);
  console.log(missed.length === 0 ? "every promise held" : `MISSED\n  ${missed.join("\n  ")}`);
}
await stage.close();
await plane.close();
process.exit(missed.length === 0 ? 0 : 1);

async function mirror(): Promise<string> {
  const overlay = {
    kind: "mirror",
    route: "hall",
    service: "shadow",
    share: 1,
    writes: true,
    reason: "a measured run",
  };
  const answer = await fetch(`${plane.origin}/v1/overlays`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(overlay),
  });
  if (!answer.ok) throw new Error(`the mirror was refused: ${await answer.text()}`);
  return ((await answer.json()) as { overlay: { id: string } }).overlay.id;
}

async function unmirror(id: string): Promise<void> {
  const answer = await fetch(`${plane.origin}/v1/overlays/${id}?reason=over`, { method: "DELETE" });
  if (!answer.ok) throw new Error(`the mirror could not be taken away: ${await answer.text()}`);
}
