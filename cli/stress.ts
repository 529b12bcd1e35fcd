/** `tidegate stress`: runs (stress-runs.ts), marks by the control plane or by a key of one's own, and such keys. */
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import type { Command } from "commander";
import { readConfigDir } from "../host/config-dir.ts";
import { parseDuration, parseRate } from "../model/configuration/quantity.ts";
import { formatProblem } from "../model/problem.ts";
import {
  isRun,
  LONGEST_MARK,
  MOST_RATE,
  publicText,
  RUN_PATTERN,
  STRESS_HEADER,
  signMark,
} from "../model/stress-mark.ts";
import { type ApiOptions, Printer, runApi, withApi } from "./api-client.ts";
import { withRun } from "./load.ts";
import { registerRuns, runStress } from "./stress-runs.ts";
import { moment, paint } from "./tables.ts";

interface MarkOptions extends ApiOptions {
  readonly unit: string;
  readonly run: string;
  readonly for: string;
  readonly rate?: string;
  readonly key?: string;
  readonly config?: string;
}

interface Minted {
  readonly header: string;
  readonly mark: string;
  readonly unit: string;
  readonly run: string;
  readonly rate: number | null;
  readonly expiresAt: number;
}

/** The command line is wrong. */
const USAGE = 2;

export function registerStress(program: Command): void {
  // Its own options stand before a command's: `tidegate stress --unit sh` is a run, too.
  const stress = withRun(program.command("stress"))
    .enablePositionalOptions()
    .description("stress one unit without touching the others; without a command: the same as run")
    .action((options: Parameters<typeof runStress>[0]) => runStress(options));
  registerRuns(stress);
  withApi(stress.command("mark"))
    .description("mint a mark: requests that carry it go to one unit, and count for no user")
    .requiredOption("--unit <name>", "the unit that is stressed")
    .option("--run <name>", "what the run is called, in records and in baggage", "manual")
    .option("--for <duration>", "it ends after this, an hour at most", "10m")
    .option("--rate <rate>", "what each gateway takes of the run, such as 2000/s")
    .option("--reason <text>", "why; the audit log keeps it (default: the run's name)")
    .option("--key <file>", "sign with this private key, for gateways that follow files; needs --config")
    .option("--config <dir>", "with --key: the configuration that names the fleet and its units")
    .addHelpText(
      "after",
      `
Examples:
  curl -H "${STRESS_HEADER}: $(tidegate stress mark --unit sh --for 10m)" http://127.0.0.1:8080/hall/1
  tidegate stress mark --unit sh --key stress-key.pem --config configs/demo`,
    )
    .action((options: MarkOptions) => mark(options));
  stress
    .command("key")
    .description("make a key pair for marks, for gateways that follow files")
    .requiredOption("--out <file>", "where the private key is written; it must not exist")
    .action(({ out }: { out: string }) => makeKey(out));
}

async function mark(options: MarkOptions): Promise<void> {
  const asked = askedFor(options);
  if (typeof asked === "string") {
    usage(asked);
    return;
  }
  if (options.key !== undefined) {
    const minted = mintHere(options, asked);
    if (typeof minted === "string") refused(minted);
    else show(new Printer(options.json ?? false), minted);
    return;
  }
  const { unit, run, for: ttl } = options;
  const reason = options.reason ?? `stress run ${run}`;
  const rate = asked.rate === undefined ? {} : { rate: asked.rate };
  await runApi(options, async (api, print) => {
    show(print, await api.call<Minted>("POST", "/v1/stress-marks", { unit, run, ttl, reason, ...rate }));
  });
}

function askedFor(options: MarkOptions): { ttl: number; rate: number | undefined } | string {
  const ttl = parseDuration(options.for);
  if (ttl === undefined || ttl < 1_000 || ttl > LONGEST_MARK) {
    return `--for is ${options.for}; expected a duration from 1s to 1h`;
  }
  const rate = options.rate === undefined ? undefined : parseRate(options.rate);
  if (options.rate !== undefined && !(Number.isInteger(rate) && rate! >= 1 && rate! <= MOST_RATE)) {
    return `--rate is ${options.rate}; expected whole requests per second, such as 2000/s`;
  }
  if (!isRun(options.run)) return `--run is ${options.run}; expected ${RUN_PATTERN}`;
  if ((options.key === undefined) !== (options.config === undefined)) {
    return "--key and --config go together: the key signs, the configuration names the fleet";
  }
  return { ttl, rate };
}

/** @returns why not */
function mintHere(
  { unit, run, key, config: dir }: MarkOptions,
  { ttl, rate }: { ttl: number; rate: number | undefined },
): Minted | string {
  const { config, problems } = readConfigDir(dir!);
  if (config === undefined) return problems.map((p) => `${dir}/${formatProblem(p)}`).join("\n");
  const { fleet, gateway } = config;
  if (!fleet.units.some(({ name }) => name === unit)) return `there is no unit ${unit} in ${dir}`;
  try {
    const signer = createPrivateKey(readFileSync(key!));
    if (signer.asymmetricKeyType !== "ed25519")
      return `${key} is no Ed25519 key; tidegate stress key makes one`;
    if (gateway.stress?.keys.includes(publicText(signer)) !== true) {
      return `${dir}/gateway.yaml does not name this key: stress: { keys: [ "${publicText(signer)}" ] }`;
    }
    const expiresAt = Math.floor((Date.now() + ttl) / 1_000) * 1_000;
    const text = signMark({ fleet: fleet.name, unit, run, expires: expiresAt, rate }, signer);
    return { header: STRESS_HEADER, mark: text, unit, run, rate: rate ?? null, expiresAt };
  } catch (error) {
    return `cannot sign with ${key}: ${(error as Error).message}`;
  }
}

/** The mark alone on standard output, so that a shell can put it into a header. */
function show(print: Printer, minted: Minted): void {
  const { unit, run, rate, expiresAt } = minted;
  print.say(minted, () => minted.mark);
  const most = rate === null ? "" : `, at most ${rate} requests a second at each gateway`;
  if (!print.json) {
    process.stderr.write(
      `${paint("dim", `${STRESS_HEADER} for unit ${unit}, run ${run}, until ${moment(expiresAt)}${most}`)}\n`,
    );
  }
}

function makeKey(out: string): void {
  const { privateKey } = generateKeyPairSync("ed25519");
  try {
    writeFileSync(out, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600, flag: "wx" });
  } catch (error) {
    refused(`cannot write ${out}: ${(error as Error).message}`);
    return;
  }
  process.stderr.write(`${out} is the private key: who has it can stress units. gateway.yaml needs:\n`);
  process.stdout.write(`stress: { keys: [ "${publicText(privateKey)}" ] }\n`);
}

function usage(message: string): void {
  process.stderr.write(`tidegate stress: ${message}\n`);
  process.exitCode = USAGE;
}

function refused(message: string): void {
  process.stderr.write(`tidegate stress: ${message}\n`);
  process.exitCode = 1;
}
