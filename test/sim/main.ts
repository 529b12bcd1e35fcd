/** Many seeds of the simulations of plans: `npm run sim:plans -- --seeds 5000`. It ends with 1 when one of them fails. */
import { parseArgs } from "node:util";
import { executionsChecked } from "./executions.ts";
import { checked, PROPERTIES } from "./fenced-move-runs.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  console.log(`npm run sim:plans -- [options]

  --seeds N   worlds in which slots move (1000), for each of three fleets; for each hundred, one with 100 executions
  --from N    the first seed (1)

One seed again: --from SEED --seeds 1`);
  process.exit(0);
}
process.on("SIGINT", () => process.exit(130));
const seeds = Number(values.seeds);
const from = Number(values.from);
let isBroken = false;

const report = (what: string, began: number, problems: readonly string[], sum: object): void => {
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(`${what}: seeds ${from} to ${from + seeds - 1} in ${seconds} s, ${problems.length} problems`);
  console.log(`  ${JSON.stringify(sum)}`);
  for (const problem of problems.slice(0, 20)) console.log(`  ${problem}`);
  if (problems.length > 0) isBroken = true;
};

for (const { what, settings } of PROPERTIES) {
  const began = performance.now();
  const { problems, sum } = await checked(settings, from, seeds);
  report(what, began, problems, sum);
}
const began = performance.now();
const { problems, sum } = await executionsChecked(from, Math.ceil(seeds / 100));
report("100 executions at once (one of a hundred seeds)", began, problems, sum);
process.exit(isBroken ? 1 : 0);
