/**
 * What a limit of the fleet admits, and what it costs Redis: four gateways, one real Redis, uneven load.
 *
 * Every sliding window of ten seconds counts, to the tenth of a second. Beyond the limit it must hold; below it nobody
 * may be refused.
 */
import { parseArgs } from "node:util";
import { CASES, type Outcome } from "./cases.ts";
import { Stage } from "./stage.ts";

const { values } = parseArgs({
  options: {
    rate: { type: "string", default: "5000" },
    seconds: { type: "string", default: "30" },
    cases: { type: "string", default: Object.keys(CASES).join(",") },
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  console.log(`npm run bench:limits -- [options]

  --rate N       requests a second that are offered to four gateways together (5000)
  --seconds N    length of each run (30)
  --cases LIST   ${Object.keys(CASES).join(",")}
  --quick        17 seconds
  --json         the figures as JSON

It ends with 1 when a promise did not hold: admitted within 2 % of the limit in every ten seconds, and not above that
where a gateway is killed; fewer than one command to Redis for 100 requests; nobody refused below the limit (of many users,
one request in 10,000); a frozen
Redis costs no request, shares count within a second, leases within three once it is back. Figures count from the time
when the gateways are warm.`);
  process.exit(0);
}
const offered = number("--rate", values.rate, 100, 100_000);
const seconds = values.quick ? 17 : number("--seconds", values.seconds, 17, 3_600);
const chosen = values.cases
  .split(",")
  .map((name) => (Object.hasOwn(CASES, name) ? CASES[name]! : usage(`there is no case ${name}`)));

process.on("SIGINT", () => process.exit(130));
process.on("SIGTERM", () => process.exit(143));
const stage = await Stage.open().catch((error: Error) => {
  console.error(`bench:limits: no Redis: ${error.message}; run: apt-get install -y redis-server`);
  process.exit(69);
});

const outcomes: Outcome[] = [];
if (!values.json)
  console.log(
    "run                    limit/s  offered/s  any 10 s, % of limit  refused  commands/100  with inner  lag p99",
  );
for (const run of chosen) {
  const outcome = await run({ stage, offered, seconds });
  outcomes.push(outcome);
  if (!values.json) print(outcome);
}
if (values.json) console.log(JSON.stringify({ outcomes }, null, 2));
process.exit(outcomes.some((o) => o.missed.length > 0) ? 1 : 0);

function print(o: Outcome): void {
  const window = o.windows?.map((share) => (share * 100).toFixed(2)).join(" to ") ?? "-";
  console.log(
    `${o.name.padEnd(21)} ${`${o.limit}`.padStart(8)} ${o.offered.toFixed(0).padStart(10)} ${window.padStart(21)} ` +
      `${`${o.refused}`.padStart(8)} ${o.commands.toFixed(2).padStart(13)} ${o.withInner.toFixed(2).padStart(11)} ${o.lag.toFixed(0).padStart(5)} ms`,
  );
  for (const note of o.notes) console.log(`  ${note}`);
  for (const problem of o.missed) console.log(`  MISSED ${problem}`);
}

function number(flag: string, text: string, least: number, most: number): number {
  const value = Number(text);
  return Number.isInteger(value) && value >= least && value <= most
    ? value
    : usage(`${flag} is ${text}; it takes a whole number from ${least} to ${most}`);
}

function usage(problem: string): never {
  console.error(`bench:limits: ${problem} (--help shows the options)`);
  process.exit(2);
}
