/** The control plane's process: reads its options, opens the store, makes real clocks and chance, and answers signals. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { hostname } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { systemClock } from "../host/clock.ts";
import { readConfigDir } from "../host/config-dir.ts";
import { formatProblem } from "../model/problem.ts";
import type { Base } from "./base.ts";
import { ControlPlane } from "./control-plane.ts";
import { makeKeyPair, publicKeyOf, signingKey } from "./publish/signing-key.ts";
import { Refused } from "./refused.ts";
import { SqliteStore } from "./store/sqlite-store.ts";
import type { Store } from "./store/store.ts";
import { makeToken, TOKEN } from "./tokens.ts";

const { version } = createRequire(import.meta.url)("../package.json") as { version: string };
const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);
const DAY = 24 * 3_600_000;

export interface ControlPlaneFlags {
  readonly config?: string;
  readonly host: string;
  readonly port: string;
  readonly data: string;
  readonly signingKey?: string;
  readonly dev?: boolean;
}

/** @returns the exit code: 0 stopped, 1 cannot start, 2 usage */
export async function runControlPlane(flags: ControlPlaneFlags): Promise<number> {
  const wrong = wrongFlags(flags);
  if (wrong !== undefined) {
    console.error(`tidegate control-plane: ${wrong}`);
    return 2;
  }
  const log = pino(
    { base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  );
  let plane: ControlPlane;
  try {
    plane = await open(flags, log);
  } catch (error) {
    console.error(`tidegate control-plane: ${startProblem(error as Error & { code?: string }, flags)}`);
    process.exit(1);
  }
  const warning = flags.dev ? ", WITHOUT TOKENS: whoever reaches it is an admin" : "";
  console.error(`tidegate control-plane: serving on http://${flags.host}:${plane.port}${warning}`);
  process.send?.({ type: "ready", port: plane.port });
  await new Promise<void>((resolve) => {
    let asked = false;
    const stop = (): void => {
      if (asked) process.exit(130);
      asked = true;
      void plane.stop().then(resolve);
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
    process.on("disconnect", stop);
  });
  log.flush();
  process.exit(0);
}

function wrongFlags({ dev, host, port }: ControlPlaneFlags): string | undefined {
  const number = Number(port);
  if (!Number.isInteger(number) || number < 0 || number > 65_535 || port === "") {
    return `--port is ${port}; expected a port from 0 to 65535`;
  }
  if (dev === true && !LOOPBACK.has(host)) {
    return `--dev asks for no token, so it listens on loopback only; --host is ${host}`;
  }
  return undefined;
}

async function open(flags: ControlPlaneFlags, log: pino.Logger): Promise<ControlPlane> {
  mkdirSync(flags.data, { recursive: true, mode: 0o700 });
  const store = new SqliteStore(join(flags.data, "tidegate.db"), Date.now);
  const clock = systemClock();
  await waitForLease(store, log);
  const plane = new ControlPlane({
    store,
    host: flags.host,
    port: Number(flags.port),
    signingKey: signingKey(readOrMakeKey(flags)),
    firstBase: flags.config === undefined ? undefined : readBaseDir(flags.config),
    dev: flags.dev ?? false,
    version,
    holder: `${hostname()}-${process.pid}-${randomBytes(4).toString("hex")}`,
    now: Date.now,
    monotonic: () => clock.now(),
    random: randomBytes,
    log,
  });
  if (flags.dev !== true) await firstToken(store, flags.data);
  await plane.start();
  return plane;
}

/** One that was killed a moment ago still has its lease; a second one that runs on the same data is a mistake. */
async function waitForLease(store: Store, log: pino.Logger): Promise<void> {
  const leader = await store.leader();
  if (leader === undefined) return;
  log.info({ milliseconds: leader.remaining }, "waiting for the lease of the control plane before this one");
  await new Promise((resolve) => setTimeout(resolve, leader.remaining + 50));
  if ((await store.leader()) !== undefined) {
    throw new Error(`another control plane runs on ${store.where}; stop it, or give this one its own --data`);
  }
}

/** Nobody can make a token without one: the first is left where only this user can read it. */
async function firstToken(store: Store, dir: string): Promise<void> {
  if ((await store.documents(TOKEN, undefined, 1)).length > 0) return;
  const given = { name: "first-admin", role: "admin" as const, expiresIn: 30 * DAY };
  const { token, text } = makeToken(given, Date.now(), randomBytes);
  const file = join(dir, "admin.token");
  writeFileSync(file, `${text}\n`, { mode: 0o600 });
  await store.commit({
    puts: [{ kind: TOKEN, id: token.id, body: JSON.stringify(token), expect: 0 }],
    audit: [
      {
        at: Date.now(),
        actor: "tidegate",
        from: "",
        action: "token.create",
        target: token.id,
        reason: "the first token",
        before: "null",
        after: JSON.stringify({
          id: token.id,
          name: token.name,
          role: token.role,
          expiresAt: token.expiresAt,
        }),
      },
    ],
  });
  console.error(`tidegate control-plane: the first admin token is in ${file}, for 30 days`);
}

function readOrMakeKey({ signingKey: given, data }: ControlPlaneFlags): string {
  if (given !== undefined) return readFileSync(given, "utf8");
  const file = join(data, "signing-key.pem");
  if (!existsSync(file)) writeFileSync(file, makeKeyPair().privateKey, { mode: 0o600, flag: "wx" });
  const pem = readFileSync(file, "utf8");
  writeFileSync(join(data, "snapshot-key.pem"), publicKeyOf(signingKey(pem)));
  return pem;
}

/** @throws Error that lists what is wrong */
function readBaseDir(dir: string): Base {
  const { config, problems, files } = readConfigDir(dir);
  if (config === undefined) {
    const list = problems.map((problem) => `${dir}/${formatProblem(problem)}`);
    throw new Error(`the configuration is invalid:\n${list.join("\n")}`);
  }
  const texts = files.map((name) => [name, join(dir, name)] as const).filter(([, path]) => existsSync(path));
  return new Map(texts.map(([name, path]) => [name, readFileSync(path, "utf8")]));
}

function startProblem(error: Error & { code?: string }, flags: ControlPlaneFlags): string {
  if (error.code === "EADDRINUSE") {
    return `port ${flags.port} is taken; stop what listens there or choose another with --port`;
  }
  if (error instanceof Refused) return `the first configuration was refused: ${error.message}`;
  return `cannot start: ${error.message}`;
}
