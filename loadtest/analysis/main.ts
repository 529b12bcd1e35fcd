/**
 * How often the analysis of a rollout takes back a canary that is like stable, and how soon one that is worse, on seeded
 * traffic that is looked at after every window.
 */
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { begin, step, verdict } from "../../model/analysis/verdict.ts";
import { seededRandom } from "../../model/clock.ts";
import { ALIKE, HARMFUL, type Harmful } from "./cases.ts";
import { Source, type Traffic } from "./traffic.ts";
import { ALPHA, failsAfter, interval, isTakenBack, ROLLOUT } from "./trials.ts";

/** Promises. */
const [FALSE_ALARMS, CAUGHT] = [0.01, 0.99];

const { values } = parseArgs({
  options: {
    rollouts: { type: "string", default: "500" },
    runs: { type: "string", default: "2000" },
    seed: { type: "string", default: "1" },
    only: { type: "string", default: "" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  console.log(`npm run bench:analysis -- [options]

  --rollouts N   whole rollouts of a canary that is like stable, of each kind of traffic (500)
  --runs N       steps of a canary that is worse, of each kind (2000)
  --seed N       of the traffic (1)
  --only TEXT    only the kinds whose name has it
  --json         the figures as JSON

It ends with 1 when a promise did not hold: fewer than 1 % of rollouts are taken back for nothing, and 99 % of what is
worse is caught in time. A promise is missed when even the better end of the 95 % interval misses it.`);
  process.exit(0);
}
process.on("SIGINT", () => process.exit(130));
const [rollouts, runs, seed] = [values.rollouts, values.runs, values.seed].map(Number) as [
  number,
  number,
  number,
];
const missed: string[] = [];
const say = (text: string): void => {
  if (!values.json) console.log(text);
};

say(`seed ${seed}; a rollout: ${ROLLOUT.units} units × ${ROLLOUT.shares.map((s) => s * 100).join(", ")} % × \
${ROLLOUT.bake} s, looked at after every window; alpha ${ALPHA}`);
const alike = Object.entries(ALIKE).flatMap(([name, traffic], at) =>
  isWanted(name) ? [falseAlarms(name, traffic, at)] : [],
);
if (alike.length > 0) {
  const all = alike.reduce((sum, { count }) => sum + count, 0);
  const [low, high] = interval(all, alike.length * rollouts);
  say(
    table(
      ["canary like stable", "taken back", "of", "share", "95 % interval"],
      [
        ...alike.map(({ name, count, low, high }) => [
          name,
          count,
          rollouts,
          share(count / rollouts),
          `${share(low)} – ${share(high)}`,
        ]),
        [
          "all of them",
          all,
          alike.length * rollouts,
          share(all / alike.length / rollouts),
          `${share(low)} – ${share(high)}`,
        ],
      ],
    ),
  );
}
const worse = Object.entries(HARMFUL).flatMap(([name, harmful], at) =>
  isWanted(name) ? [caught(name, harmful, at)] : [],
);
if (worse.length > 0) {
  say(
    table(
      ["canary worse, 5 % of 1,000 rps", "in time", "share", "95 % interval", "p50", "p99"],
      worse.map(({ name, within, promised, count, low, high, p50, p99 }) => [
        name,
        `≤ ${within} s${promised ? " (promised)" : ""}`,
        share(count / runs),
        `${share(low)} – ${share(high)}`,
        seconds(p50),
        seconds(p99),
      ]),
    ),
  );
}
const cost = costs();
say(
  `a window takes ${cost.step.toFixed(0)} µs, and its verdict ${cost.verdict.toFixed(0)} µs; what is kept is ${cost.bytes} bytes`,
);
if (values.json) console.log(JSON.stringify({ seed, rollouts, runs, alike, worse, cost, missed }, null, 2));
for (const problem of missed) say(`MISSED ${problem}`);
process.exit(missed.length > 0 ? 1 : 0);

function isWanted(name: string): boolean {
  if (!name.includes(values.only)) return false;
  process.stderr.write(`${name} …\n`);
  return true;
}

function falseAlarms(name: string, traffic: Traffic, at: number) {
  const found = repeat(rollouts, (run) => isTakenBack(traffic, ROLLOUT, seededRandom(seedOf(at, run))));
  const reasons = found.flatMap((one) => one ?? []);
  const [low, high] = interval(reasons.length, rollouts);
  if (low >= FALSE_ALARMS) missed.push(`${name}: ${share(reasons.length / rollouts)} taken back`);
  return { name, count: reasons.length, low, high, reasons };
}

function caught(name: string, { traffic, promised, alpha }: Harmful, at: number) {
  const begins = traffic.begins ?? 0;
  const within = promised ?? 30;
  const settings = alpha === undefined ? {} : { alpha };
  const after = repeat(begins > 0 ? Math.ceil(runs / 10) : runs, (run) => {
    const found = failsAfter(traffic, begins + 120, seededRandom(seedOf(100 + at, run)), settings);
    return found === undefined ? Number.POSITIVE_INFINITY : found.seconds - begins;
  }).sort((a, b) => a - b);
  const count = Math.round((after.filter((s) => s <= within).length / after.length) * runs);
  const [low, high] = interval(after.filter((s) => s <= within).length, after.length);
  if (promised !== undefined && high < CAUGHT)
    missed.push(`${name}: ${share(count / runs)} caught within ${within} s`);
  return {
    name,
    within,
    promised: promised !== undefined,
    count,
    low,
    high,
    p50: quantile(after, 0.5),
    p99: quantile(after, 0.99),
  };
}

function repeat<T>(times: number, one: (run: number) => T): T[] {
  return Array.from({ length: times }, (_, run) => one(run));
}

function seedOf(at: number, run: number): number {
  return (seed * 1_000_003 + at * 100_003 + run) >>> 0;
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]!;
}

function costs(): { step: number; verdict: number; bytes: number } {
  const source = new Source({ rate: 1000, share: 0.05, errors: 0.001, shape: "wide" }, seededRandom(seed));
  const windows = repeat(2_000, () => source.next());
  let state = begin();
  // Of the processor: others may be at work on this machine.
  const began = process.cpuUsage().user;
  for (const [canary, stable] of windows) state = step(state, canary, stable);
  const stepped = process.cpuUsage().user;
  for (let i = 0; i < 1_000; i++) verdict(state);
  const judged = process.cpuUsage().user;
  return {
    step: (stepped - began) / windows.length,
    verdict: (judged - stepped) / 1_000,
    bytes: JSON.stringify(state).length,
  };
}

function table(head: string[], rows: (string | number)[][]): string {
  const made = new Table({ head, style: { head: [], border: [] } });
  made.push(...rows);
  return made.toString();
}

function share(n: number): string {
  return `${(n * 100).toFixed(2)} %`;
}

function seconds(n: number): string {
  return Number.isFinite(n) ? `${n} s` : "later";
}
