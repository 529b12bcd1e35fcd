/** The overload benchmark: what protection is worth when a unit has too much to do, dies, fails or comes back. */
import { parseArgs } from "node:util";
import { type Case, SCENARIOS } from "./cases.ts";
import { describe, type Outcome } from "./outcome.ts";
import { Stage } from "./processes.ts";
import { tableOf, verdictOf } from "./report.ts";

const NAMES = Object.keys(SCENARIOS);
const { values } = parseArgs({
  options: {
    only: { type: "string", default: NAMES.join(",") },
    protection: { type: "string", default: "both" },
    threads: { type: "string", default: "1" },
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  console.log(`npm run bench:overload -- [options]

  --quick             shorter runs: about seven minutes instead of sixteen
  --only LIST         ${NAMES.join(",")}
  --protection WHICH  on, off or both (both)
  --threads N         traffic threads of the gateway (1)
  --json              every outcome as JSON

It ends with 1 when a promise did not hold with protection on.`);
  process.exit(0);
}
const only = values.only.split(",");
for (const name of only) if (!NAMES.includes(name)) usage(`there is no scenario ${name}`);
const variants =
  { on: [true], off: [false], both: [false, true] }[values.protection] ??
  usage(`--protection is ${values.protection}; it takes on, off or both`);
const threads = Number(values.threads);
if (!Number.isInteger(threads) || threads < 1 || threads > 64) {
  usage(`--threads is ${values.threads}; it takes a whole number from 1 to 64`);
}
// The children end with their channels, so that nothing is left to do here.
process.on("SIGINT", () => process.exit(130));
process.on("SIGTERM", () => process.exit(143));

const outcomes: Outcome[] = [];
for (const name of NAMES.filter((n) => only.includes(n))) {
  const { title, cases } = SCENARIOS[name]!;
  const rows: Outcome[] = [];
  for (const run of cases) {
    for (const protect of variants) rows.push(await play(run, protect));
  }
  outcomes.push(...rows);
  if (!values.json) console.log(`\n${title}\n${tableOf(rows)}\n`);
}
const missed = verdictOf(outcomes);
if (values.json) {
  const plain = (_key: string, value: unknown) => (value === Number.POSITIVE_INFINITY ? "never" : value);
  console.log(JSON.stringify({ outcomes, missed }, plain, 2));
} else {
  console.log(missed.length === 0 ? "Every promise held." : `Missed:\n  ${missed.join("\n  ")}`);
}
process.exit(missed.length === 0 ? 0 : 1);

async function play(run: Case, protect: boolean): Promise<Outcome> {
  const stage = new Stage(threads);
  try {
    const outcome = await run(stage, protect, values.quick);
    console.error(describe(outcome));
    return outcome;
  } finally {
    await stage.close();
  }
}

function usage(problem: string): never {
  console.error(`bench:overload: ${problem} (--help shows the options)`);
  process.exit(2);
}
