/** How near the capacity finder comes to the truth, for sample units whose capacity is known: five runs of each. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { KeptMeasurement } from "../../model/capacity/measurement.ts";
import { StressStage } from "./stage.ts";

const CLI = join(import.meta.dirname, "../../cli/tidegate.mjs");
/** Promise: so near to the truth, every time. */
const WITHIN = 0.1;
/** Workers, milliseconds of work. */
const CASES: Readonly<Record<string, readonly [workers: number, work: number]>> = {
  "5x20": [5, 20],
  "2x10": [2, 10],
  "20x50": [20, 50],
};

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "5" },
    only: { type: "string", default: "5x20" },
    probe: { type: "string", default: "3s" },
    repeats: { type: "string", default: "2" },
    fixed: { type: "boolean", default: false },
    said: { type: "string" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  console.log(`npm run bench:capacity -- [options]

  --runs N       how often each unit is measured (5; about a minute and a half each)
  --only LIST    ${Object.keys(CASES).join(",")}: workers x milliseconds of work (5x20)
  --probe D      how long a rate has to hold (3s)
  --repeats N    searches of one measurement (2)
  --fixed        units of concurrency: fixed, which gateways do not protect
  --said RATE    what fleet.yaml says of the units' capacity, right or wrong
  --json         the figures as JSON

It ends with 1 when a figure is more than ${WITHIN * 100} % from the truth.`);
  process.exit(0);
}
process.on("SIGINT", () => process.exit(130));
const unit = [
  ...(values.fixed ? ["concurrency: fixed"] : []),
  ...(values.said === undefined ? [] : [`capacity: ${values.said}`]),
].join(", ");
const found: { truth: number; rps: number; off: number; error: number; seconds: number; probes: number }[] =
  [];
for (const name of values.only.split(",")) {
  const [workers, work] = CASES[name] ?? usage(`there is no case ${name}`);
  const stage = await new StressStage().start({ workers, work, unit });
  const truth = (workers * 1_000) / work;
  // A few users, as there always are; the guardrail watches them.
  stage.users(15);
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  for (let i = 0; i < Number(values.runs); i++) {
    const began = performance.now();
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [
        ...[
          CLI,
          "capacity",
          "--unit",
          "sh",
          "--json",
          "--gateway",
          stage.gateway,
          "--control-plane",
          stage.plane.origin,
        ],
        ...["--probe", values.probe, "--repeats", values.repeats],
      ],
      { encoding: "utf8", timeout: 600_000 },
    );
    if (status !== 0) {
      console.error(`${name}: ${stdout}${stderr}`);
      process.exit(1);
    }
    const { rps, error, probes } = JSON.parse(stdout) as KeptMeasurement;
    const one = {
      truth,
      rps,
      off: rps / truth - 1,
      error,
      probes,
      seconds: (performance.now() - began) / 1_000,
    };
    found.push(one);
    if (!values.json) {
      console.log(
        `${name}: ${rps.toFixed(1)} rps of ${truth}, off by ${(one.off * 100).toFixed(1)} %; said to be within ` +
          `${(error * 100).toFixed(1)} %; ${probes} probes in ${one.seconds.toFixed(0)} s`,
      );
    }
  }
  await stage.close();
}
const worst = Math.max(...found.map(({ off }) => Math.abs(off)));
if (values.json) console.log(JSON.stringify({ found, worst }, null, 2));
else
  console.log(`worst of ${found.length}: ${(worst * 100).toFixed(1)} %${worst <= WITHIN ? "" : ": MISSED"}`);
process.exit(worst <= WITHIN ? 0 : 1);

function usage(problem: string): never {
  console.error(`bench:capacity: ${problem} (--help shows the options)`);
  process.exit(2);
}
