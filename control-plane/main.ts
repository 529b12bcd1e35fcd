/** The control plane's process: reads its options, opens the store, makes real clocks and chance, and answers signals. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { systemClock } from "../host/clock.ts";
import { readConfigDir } from "../host/config-dir.ts";
import { SECRET_NAME } from "../model/alerts/alerts.ts";
import { formatProblem } from "../model/problem.ts";
import { CONSOLE_DIST, NOT_BUILT, readConsole } from "./api/console.ts";
import { firstAdminToken, resetAdminToken } from "./auth/admin-token.ts";
import { type ListenerFlags, tlsFiles, wrongListener } from "./auth/listener-flags.ts";
import { ListenerTls } from "./auth/listener-tls.ts";
import { type OidcFlags, oidcSettings } from "./auth/oidc-settings.ts";
import { type Base, rememberRead } from "./base.ts";
import { ControlPlane } from "./control-plane.ts";
import { makeKeyPair, publicKeyOf, signingKey } from "./publish/signing-key.ts";
import { LEASE } from "./leadership.ts";
import { Prometheus, wrongPrometheus } from "./prometheus.ts";
import { Refused } from "./refused.ts";
import { openStore, type StorePlace, wrongDatabase } from "./store/open.ts";
import type { Store } from "./store/store.ts";

const { version } = createRequire(import.meta.url)("../package.json") as { version: string };

export interface ControlPlaneFlags extends ListenerFlags, OidcFlags {
  readonly config?: string;
  readonly port: string;
  readonly data: string;
  readonly database?: string;
  readonly signingKey?: string;
  /** Makes an admin token in place of starting. */
  readonly resetAdminToken?: boolean;
  readonly hookHost?: readonly string[];
  readonly prometheus?: string;
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
  if (flags.resetAdminToken === true) return await resetToken(flags);
  let plane: ControlPlane;
  try {
    plane = await open(flags, log);
  } catch (error) {
    console.error(`tidegate control-plane: ${startProblem(error as Error & { code?: string }, flags)}`);
    process.exit(1);
  }
  const scheme = flags.tlsCert === undefined ? "http" : "https";
  console.error(
    `tidegate control-plane: serving on ${scheme}://${flags.host}:${plane.port}${warningOf(flags)}`,
  );
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

function wrongFlags(flags: ControlPlaneFlags): string | undefined {
  const { dev, port } = flags;
  const number = Number(port);
  if (!Number.isInteger(number) || number < 0 || number > 65_535 || port === "") {
    return `--port is ${port}; expected a port from 0 to 65535`;
  }
  const { database } = placeOf(flags);
  const wrong = wrongDatabase(database);
  if (wrong !== undefined) return wrong;
  if (database !== undefined && flags.signingKey === undefined) {
    return "--database needs --signing-key FILE, the same for every control plane: gateways check all of them with one key";
  }
  if (flags.prometheus !== undefined) {
    const unlike = wrongPrometheus(flags.prometheus);
    if (unlike !== undefined) return unlike;
  }
  const oidc = oidcSettings(flags);
  if (typeof oidc === "string") return oidc;
  if (dev === true && oidc !== undefined)
    return "--dev asks for no token, so --oidc-issuer would say nothing";
  return wrongListener(flags);
}

async function open(flags: ControlPlaneFlags, log: pino.Logger): Promise<ControlPlane> {
  const oidc = oidcSettings(flags);
  const clientSecret = process.env.TIDEGATE_OIDC_CLIENT_SECRET;
  const files = tlsFiles(flags);
  const tls = files === undefined ? undefined : new ListenerTls(files, log);
  mkdirSync(flags.data, { recursive: true, mode: 0o700 });
  const place = placeOf(flags);
  const store = await openStore(place, Date.now, true);
  const clock = systemClock();
  if (place.database === undefined) await waitForLease(store, log);
  const consoleFiles = readConsole(CONSOLE_DIST);
  if (consoleFiles === undefined) console.error(`tidegate control-plane: ${NOT_BUILT}`);
  const plane = new ControlPlane({
    store,
    // With TLS one server, whose certificate can be changed: for localhost Fastify would make two.
    host: tls !== undefined && flags.host === "localhost" ? "127.0.0.1" : flags.host,
    port: Number(flags.port),
    signingKey: signingKey(readOrMakeKey(flags)),
    firstBase: await firstBase(flags, store, log),
    dev: flags.dev ?? false,
    shared: place.database !== undefined,
    oidc: typeof oidc === "object" ? { ...oidc, clientSecret } : undefined,
    tls,
    hooks: { hosts: flags.hookHost ?? [], secret: process.env.TIDEGATE_HOOK_SECRET },
    prometheus: prometheusOf(flags),
    // Nothing else of the environment leaves this process, whatever a file names.
    secret: (name) => (SECRET_NAME.test(name) ? process.env[name] : undefined),
    console: consoleFiles,
    version,
    holder: `${hostname()}-${process.pid}-${randomBytes(4).toString("hex")}`,
    now: Date.now,
    monotonic: () => clock.now(),
    random: randomBytes,
    log,
  });
  if (flags.dev !== true) {
    const file = await firstAdminToken({ store, dir: flags.data, now: Date.now, random: randomBytes });
    if (file !== undefined) {
      console.error(`tidegate control-plane: the first admin token is in ${file}, for 30 days`);
    }
  }
  await plane.start();
  return plane;
}

function prometheusOf({ prometheus }: ControlPlaneFlags): Prometheus | undefined {
  if (prometheus === undefined) return undefined;
  return new Prometheus({ url: new URL(prometheus), token: process.env.TIDEGATE_PROMETHEUS_TOKEN });
}

/** One that was killed a moment ago still has its lease; a second one that runs on the same data is a mistake. */
async function waitForLease(store: Store, log: pino.Logger): Promise<void> {
  const leader = await store.leader();
  if (leader === undefined) return;
  // Longer, and the clock was set back meanwhile: who lives has renewed it by then.
  const milliseconds = Math.min(leader.remaining, LEASE) + 50;
  const before = Date.now() + leader.remaining;
  log.info({ milliseconds }, "waiting for the lease of the control plane before this one");
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  const now = await store.leader();
  const isRenewed = now !== undefined && Math.abs(Date.now() + now.remaining - before) > LEASE / 10;
  if (isRenewed) {
    throw new Error(`another control plane runs on ${store.where}; stop it, or give this one its own --data`);
  }
}

/** Beside a control plane that runs, or without one: whoever may write its files may be an admin, and it is on record. */
async function resetToken(flags: ControlPlaneFlags): Promise<number> {
  let store: Store | undefined;
  try {
    store = await openStore(placeOf(flags), Date.now, false);
    const options = { store, dir: flags.data, now: Date.now, random: randomBytes };
    const token = await resetAdminToken(options, userName());
    console.error(
      `tidegate control-plane: a new admin token is in ${token}, for 30 days; the audit log says who made it. ` +
        "The old ones still work: tidegate token ls, tidegate token revoke",
    );
    return 0;
  } catch (error) {
    console.error(`tidegate control-plane: --reset-admin-token: ${(error as Error).message}`);
    return 1;
  } finally {
    await store?.close();
  }
}

function placeOf({ data, database }: ControlPlaneFlags): StorePlace {
  return { data, database: database ?? process.env.TIDEGATE_DATABASE };
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A container's user may have no name.
    return `${process.getuid?.() ?? "unknown"}`;
  }
}

function warningOf({ dev, insecureHttp }: ControlPlaneFlags): string {
  if (dev === true) return ", WITHOUT TOKENS: whoever reaches it is an admin";
  return insecureHttp === true ? ", WITHOUT TLS: whoever is between reads the tokens" : "";
}

function readOrMakeKey({ signingKey: given, data }: ControlPlaneFlags): string {
  if (given !== undefined) return readFileSync(given, "utf8");
  const file = join(data, "signing-key.pem");
  if (!existsSync(file)) writeFileSync(file, makeKeyPair().privateKey, { mode: 0o600, flag: "wx" });
  const pem = readFileSync(file, "utf8");
  writeFileSync(join(data, "snapshot-key.pem"), publicKeyOf(signingKey(pem)));
  return pem;
}

/** Undefined where the store has a configuration: nobody is kept from starting by files that say nothing any more. */
async function firstBase(
  { config }: ControlPlaneFlags,
  store: Store,
  log: pino.Logger,
): Promise<Base | undefined> {
  if (config === undefined) return undefined;
  const revision = await store.head();
  if (revision === 0) return readBaseDir(config);
  log.info({ revision, config }, "the store has a configuration, so the directory is not read");
  return undefined;
}

/** @throws Error that lists what is wrong */
function readBaseDir(dir: string): Base {
  const { config, problems, files } = readConfigDir(dir);
  if (config === undefined) {
    const list = problems.map((problem) => `${dir}/${formatProblem(problem)}`);
    throw new Error(`the configuration is invalid:\n${list.join("\n")}`);
  }
  const texts = files.map((name) => [name, join(dir, name)] as const).filter(([, path]) => existsSync(path));
  const base = new Map(texts.map(([name, path]) => [name, readFileSync(path, "utf8")]));
  // Read again once it leads, a large one would take longer than its lease.
  rememberRead(base, { config, problems });
  return base;
}

function startProblem(error: Error & { code?: string }, flags: ControlPlaneFlags): string {
  if (error.code === "EADDRINUSE") {
    return `port ${flags.port} is taken; stop what listens there or choose another with --port`;
  }
  if (error instanceof Refused) return `the first configuration was refused: ${error.message}`;
  return `cannot start: ${error.message}`;
}
