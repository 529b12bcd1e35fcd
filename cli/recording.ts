/** `tidegate replay`: an access log becomes traffic that k6 can make again. */
import { randomBytes } from "node:crypto";
import { createReadStream, readFileSync, writeFileSync } from "node:fs";
import { StringDecoder } from "node:string_decoder";
import type { Command } from "commander";
import { type Recorded, Recording } from "../model/replay/recording.ts";
import { paint } from "./tables.ts";

interface ReplayOptions {
  readonly out: string;
  readonly key: string;
  readonly secret?: string;
  readonly json?: boolean;
}

const CHUNK = 1_024 * 1_024;

export function registerReplay(program: Command): void {
  program
    .command("replay")
    .description("turn an access log into traffic: the same mix, arrivals and users, who are named anew")
    .argument("<log>", "ours (JSON lines), or nginx's combined")
    .requiredOption("--out <file>", "where the traffic is written")
    .option("--key <name>", "query parameter that names the user, where the log has queries", "uid")
    .option(
      "--secret <file>",
      "pseudonyms are made with it, so that two logs name one user alike (default: drawn and forgotten)",
    )
    .option("--json", "print what was found, for scripts")
    .addHelpText(
      "after",
      `
Queries and what names one thing of many in a path are left out; users are keyed hashes.

Example:
  tidegate replay /var/log/tidegate/access.log --out traffic.json
  tidegate stress run --unit sh --scenario replay --traffic traffic.json`,
    )
    .action((log: string, options: ReplayOptions) => replay(log, options));
}

async function replay(log: string, { out, key, secret: file, json = false }: ReplayOptions): Promise<void> {
  let recorded: Recorded;
  try {
    const secret = file === undefined ? randomBytes(32) : readFileSync(file);
    const recording = new Recording({ secret, key });
    // A log is whatever bytes clients sent: what is no UTF-8 is garbage in its own line alone.
    const decoder = new StringDecoder("utf8");
    for await (const chunk of createReadStream(log, { highWaterMark: CHUNK }))
      recording.push(decoder.write(chunk as Buffer));
    recording.push(decoder.end());
    recorded = recording.end();
  } catch (error) {
    refused((error as Error).message);
    return;
  }
  if (recorded.requests === 0) {
    refused(
      `${log} has no request in ${recorded.lines} lines that could be made again; expected our access log, or nginx's combined format`,
    );
    return;
  }
  try {
    writeFileSync(out, `${JSON.stringify(recorded)}\n`);
  } catch (error) {
    refused(`cannot write ${out}: ${(error as Error).message}`);
    return;
  }
  const { keys: _keys, weights: _weights, curve: _curve, ...shown } = recorded;
  process.stdout.write(json ? `${JSON.stringify(shown, null, 2)}\n` : `${textOf(recorded, out)}\n`);
}

function textOf(
  { requests, seconds, rate, users, mix, garbage, lines, others, strays }: Recorded,
  out: string,
): string {
  const shown = mix
    .slice(0, 5)
    .map(({ method, path, share }) => `  ${(share * 100).toFixed(1)} % ${method} ${path}`);
  return [
    `${requests} requests in ${seconds} s, ${rate.toFixed(1)} a second at the most, of ${users} users`,
    ...shown,
    ...(mix.length > shown.length ? [`  and ${mix.length - shown.length} more kinds`] : []),
    ...(garbage > 0
      ? [paint("yellow", `${garbage} of ${lines} lines are no line of a log and were left out`)]
      : []),
    ...(others > 0 ? [`${others} lines of stress traffic, or of what no route took, were left out`] : []),
    ...(strays > 0
      ? [paint("yellow", `${strays} requests are more than a day from the first, and were left out`)]
      : []),
    `written to ${out}`,
  ].join("\n");
}

function refused(message: string): void {
  process.stderr.write(`tidegate replay: ${message}\n`);
  process.exitCode = 1;
}
