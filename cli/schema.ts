/**
 * Writes the JSON Schemas that give editors completion, or checks that they are what the code says.
 *
 * `npm run schema` and `npm run schema:check`; no command of `tidegate`, because only its own developers need it.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { AlertsSchema } from "../model/configuration/alerts-schema.ts";
import { FleetSchema } from "../model/configuration/fleet-schema.ts";
import { GatewaySchema } from "../model/configuration/gateway-schema.ts";
import { PlanSchema } from "../model/configuration/plan-schema.ts";
import { RolloutSchema } from "../model/configuration/rollout-schema.ts";
import { RoutesSchema } from "../model/configuration/routes-schema.ts";
import { SafetySchema } from "../model/configuration/safety-schema.ts";

const SCHEMAS = {
  fleet: FleetSchema,
  routes: RoutesSchema,
  gateway: GatewaySchema,
  safety: SafetySchema,
  alerts: AlertsSchema,
  plan: PlanSchema,
  rollout: RolloutSchema,
};
const ROOT = join(import.meta.dirname, "..");

/** draft-07 is what the YAML language server reads best, and we use nothing newer. */
function print(schema: object): string {
  return `${JSON.stringify({ $schema: "http://json-schema.org/draft-07/schema#", ...schema }, null, 2)}\n`;
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

const [mode] = process.argv.slice(2);
if (mode !== "--write" && mode !== "--check") {
  process.stderr.write("usage: node cli/schema.ts --write | --check\n");
  process.exit(2);
}
const directory = join(ROOT, "configs/schema");
const stale: string[] = [];
for (const [name, schema] of Object.entries(SCHEMAS)) {
  const path = join(directory, `${name}.schema.json`);
  const text = print(schema);
  if (textOf(path) === text) continue;
  stale.push(relative(ROOT, path));
  if (mode === "--write") {
    mkdirSync(directory, { recursive: true });
    writeFileSync(path, text);
  }
}
if (mode === "--check" && stale.length > 0) {
  process.stderr.write(
    `${stale.join(", ")}: not what model/configuration says; run \`npm run schema\` and commit the result\n`,
  );
  process.exitCode = 1;
}
if (mode === "--write")
  process.stdout.write(stale.length === 0 ? "schemas: unchanged\n" : `schemas: wrote ${stale.join(", ")}\n`);
