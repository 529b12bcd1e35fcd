/** `tidegate explain`: where a request goes, and why, by the function that the gateway runs. */
import type { Command } from "commander";
import { readConfigDir } from "../host/config-dir.ts";
import { type Explanation, explain } from "../model/explain.ts";
import { formatProblem } from "../model/problem.ts";
import { ambiguityOf, hostOf } from "../model/request-target.ts";
import { compileTable } from "../model/table.ts";

interface Options {
  readonly config: string;
  readonly header: readonly string[];
  readonly host?: string;
  readonly region?: string;
  readonly client: string;
  readonly stress?: string;
  readonly json?: boolean;
}

export function registerExplain(program: Command): void {
  program
    .command("explain")
    .description("say where a request goes, and why")
    .requiredOption("--config <dir>", "directory with fleet.yaml and routes.yaml")
    .argument("<method>", "GET, POST, …")
    .argument("<url>", "path with its query, or a whole URL: '/cart/1?uid=42', https://shop.test/cart/1")
    .option(
      "-H, --header <field>",
      "a request header, 'name: value'; may be repeated",
      (v, all: string[]) => [...all, v],
      [],
    )
    .option("--host <name>", "the Host field")
    .option("--region <name>", "region the gateway stands in")
    .option("--client <address>", "the client's address", "192.0.2.1")
    .option("--stress <unit>", "as stress traffic that a mark sends to this unit")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
Every endpoint is taken for healthy; a running gateway explains with its live health on its admin port:
  curl 'http://127.0.0.1:9090/explain?method=GET&url=/cart/1%3Fuid=42'

Examples:
  tidegate explain --config configs/demo GET '/cart/1?uid=42'
  tidegate explain --config configs/demo POST /cart/1 -H 'x-user-id: 42' --json`,
    )
    .action((method: string, url: string, options: Options) => {
      process.exitCode = run(method, url, options);
    });
}

/** @returns 0 forwarded, 1 the configuration is invalid, 2 usage, 3 the request would be refused */
function run(method: string, url: string, options: Options): number {
  const { config, problems } = readConfigDir(options.config);
  if (config === undefined) {
    for (const problem of problems) console.error(`${options.config}/${formatProblem(problem)}`);
    return 1;
  }
  const headers: string[] = [];
  for (const field of options.header) {
    const colon = field.indexOf(":");
    if (colon < 1) {
      console.error(`tidegate explain: header ${JSON.stringify(field)} is not 'name: value'`);
      return 2;
    }
    headers.push(field.slice(0, colon).trim(), field.slice(colon + 1).trim());
  }
  const absolute = /^https?:\/\/([^/?]+)(.*)$/i.exec(url);
  const target = absolute === null ? url : absolute[2]!.startsWith("/") ? absolute[2]! : `/${absolute[2]}`;
  const mark = target.indexOf("?");
  const path = mark === -1 ? target : target.slice(0, mark);
  const ambiguity = ambiguityOf(path);
  if (ambiguity !== undefined) {
    console.error(`tidegate explain: ${ambiguity}: a gateway answers 400`);
    return 3;
  }
  const table = compileTable(config, { region: options.region });
  const explanation = explain(
    table,
    { endpoints: new Int32Array(table.endpointCount) },
    {
      method: method.toUpperCase(),
      host: hostOf(options.host ?? absolute?.[1] ?? "") ?? "",
      path,
      query: mark === -1 ? "" : target.slice(mark + 1),
      headers,
      client: options.client,
      stress: options.stress,
    },
  );
  if (options.json === true) console.log(JSON.stringify(explanation, null, 2));
  else console.log(render(explanation));
  return explanation.decision === "forward" ? 0 : 3;
}

function render(e: Explanation): string {
  const facts: [string, string | undefined][] = [
    ["decision", e.decision === "forward" ? `forward to ${e.unit} (${e.version})` : "refuse"],
    ["route", e.route],
    ["service", e.service],
    ["scope", e.scope],
    ["key", e.key],
    ["slot", e.slot === undefined ? undefined : `${e.slot} (epoch ${e.epoch})`],
    ["home", e.home],
    [
      "candidates",
      e.candidates.length === 0
        ? undefined
        : e.candidates.map((c) => (c.usable ? c.unit : `${c.unit} (unusable)`)).join(" → "),
    ],
  ];
  const lines = facts.filter(([, v]) => v !== undefined).map(([k, v]) => `${k.padEnd(11)}${v}`);
  return [...lines, "", "because", ...e.reasons.map((r, i) => `${`${i + 1}.`.padStart(4)} ${r}`)].join("\n");
}
