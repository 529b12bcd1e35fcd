/** A real fleet for the console: units that can be killed, a gateway, a control plane that asks for tokens, a browser. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { startControlPlane, startFollower, type TestControlPlane } from "../../support/control-plane.ts";
import { ROUTES, type TestGateway, until } from "../../support/gateway.ts";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
/** Kept of each run; those of docs/console.md were made with `TIDEGATE_PICTURES=docs/images`. */
const PICTURES = process.env.TIDEGATE_PICTURES ?? join(import.meta.dirname, "../../../.cache/console");
/** Of one browser action (ms). */
export const PATIENCE = 15_000;

/** A unit of the fleet: it answers after a few milliseconds until it is killed. */
export class SampleUnit {
  #server: Server | undefined;
  port = 0;
  /** Milliseconds. */
  delay = 4;

  async start(): Promise<void> {
    const server = createServer((request, response) => {
      request.resume();
      setTimeout(() => response.end("ok"), request.url === "/healthz" ? 0 : this.delay);
    });
    server.listen(this.port, "127.0.0.1");
    await once(server, "listening");
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  kill(): void {
    this.#server?.closeAllConnections();
    this.#server?.close();
    this.#server = undefined;
  }
}

export interface Stage {
  readonly plane: TestControlPlane;
  readonly gateway: TestGateway;
  readonly units: Readonly<Record<string, SampleUnit>>;
  /** @returns the token's text */
  readonly token: (name: string, role: string, expires?: string) => Promise<string>;
  readonly admin: Record<string, string>;
}

const PLANS = {
  "plans/drain-region.yaml": `
summary: Gives no unit of a region new work; users stay where they live.
owner: sre
parameters:
  region: { type: region, default: shanghai, summary: the region that is left }
  ramp: { type: duration, default: 200ms, min: 0s, max: 10m }
steps:
  - approve: approver
    timeout: 10m
  - drain: \${region}
    ramp: \${ramp}
    deadline: 5m
  - notify: drained
expires: { after: 4h, then: ask }
`,
  "plans/degrade-hall.yaml": `
summary: Answers what is not on the way to an order from its fallback.
owner: shop
steps: [ { degrade: hall }, { notify: the hall answers from its fallback } ]
`,
};

const SAFETY = "rules:\n  two-serving: { serving: 2 }\n";

export async function startStage(
  t: TestContext,
  extra: Readonly<Record<string, string>> = {},
): Promise<Stage> {
  const units: Record<string, SampleUnit> = {
    hz: new SampleUnit(),
    sh: new SampleUnit(),
    sz: new SampleUnit(),
  };
  await Promise.all(Object.values(units).map((unit) => unit.start()));
  t.after(() => {
    for (const unit of Object.values(units)) unit.kill();
  });
  const pool = (name: string): string => `{ stable: [ "http://127.0.0.1:${units[name]!.port}" ] }`;
  const fleet = `fleet: double11
regions: { hangzhou: {}, shanghai: {}, shenzhen: {} }
units:
  hz: { region: hangzhou, center: true, capacity: 400rps }
  sh: { region: shanghai, capacity: 400rps, failover: [hz, sz] }
  sz: { region: shenzhen, capacity: 200rps, failover: [hz, sh] }
placement:
  key: [ { header: x-user-id }, { cookie: uid }, { query: uid } ]
  slots: 1024
  map: { hz: 0-409, sh: 410-819, sz: 820-1023 }
services:
  hall:
    health: { path: /healthz, interval: 200ms, timeout: 200ms, healthy: 2, unhealthy: 3 }
    pools: { hz: ${pool("hz")}, sh: ${pool("sh")}, sz: ${pool("sz")} }
`;
  const routes = `${ROUTES.replace("scope: nearest", "scope: nearest\n    fallback: { status: 200 }\n    limits: [ hall ]")}limits:\n  hall: { rate: 100/s, burst: 200, by: [client] }\n`;
  const files = { "fleet.yaml": fleet, "routes.yaml": routes, "safety.yaml": SAFETY, ...PLANS, ...extra };
  const plane = await startControlPlane(t, files, []);
  const text = readFileSync(join(plane.data, "admin.token"), "utf8").trim();
  const admin = { authorization: `Bearer ${text}` };
  const token = async (name: string, role: string, expires = "1h"): Promise<string> => {
    const body = { name, role, expires, reason: "a test" };
    const answer = await plane.call("POST", "/v1/tokens", body, admin);
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer.body.token as string;
  };
  const before = process.env.TIDEGATE_TOKEN;
  process.env.TIDEGATE_TOKEN = await token("gw-1", "gateway");
  const gateway = await startFollower(t, plane, "gw-1");
  if (before === undefined) delete process.env.TIDEGATE_TOKEN;
  else process.env.TIDEGATE_TOKEN = before;
  await until(
    "a gateway that reports",
    async () => (await plane.call("GET", "/v1/status", undefined, admin)).body.units,
    (all: { healthy: boolean | null }[]) => all.every(({ healthy }) => healthy === true),
  );
  return { plane, gateway, units, token, admin };
}

/** Asks for carts and halls of many users until the test ends. */
export function startTraffic(t: TestContext, { gateway }: Stage, clients = 4): void {
  let going = true;
  t.after(() => {
    going = false;
  });
  const client = async (from: number): Promise<void> => {
    for (let i = from; going; i += clients) {
      const path = i % 3 === 0 ? "hall/1" : i % 7 === 0 ? "orders/1" : "cart/1";
      const headers = { "x-user-id": `user-${i % 500}` };
      await fetch(`${gateway.url}/${path}`, { headers }).then(
        (answer) => answer.arrayBuffer(),
        () => undefined,
      );
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  for (let i = 0; i < clients; i++) void client(i);
}

/** Debian's Chromium. Everything that a page says on its console, or throws, fails the test. */
export async function startBrowser(t: TestContext): Promise<Browser> {
  const executablePath = PLACES.find((place) => existsSync(place));
  assert.ok(executablePath !== undefined, "there is no Chromium; run: node scripts/setup.mjs --system test");
  const browser = await chromium.launch({
    executablePath,
    // In a container as root there is nothing to make a sandbox of, and /dev/shm is small.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run"],
  });
  t.after(() => browser.close());
  return browser;
}

export interface Visitor {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What went wrong on the page so far. */
  readonly complaints: string[];
}

/** Somebody with a window of their own. @param width pixels */
export async function visit(
  browser: Browser,
  plane: Pick<TestControlPlane, "url">,
  options: {
    readonly width?: number;
    readonly height?: number;
    readonly dark?: boolean;
    readonly locale?: string;
  } = {},
): Promise<Visitor> {
  const { width = 1280, height = 860, dark = false, locale = "en-GB" } = options;
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: dark ? "dark" : "light",
    reducedMotion: "reduce",
    locale,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("dialog", (dialog) => {
    complaints.push(`a dialog opened: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("console", (message) => {
    // A request that was refused is told by the browser; whether it had to be is the tests' business.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) {
      complaints.push(message.text());
    }
  });
  await page.goto(plane.url);
  return { page, context, complaints };
}

export async function signIn({ page }: Visitor, token: string): Promise<void> {
  await page.getByLabel("Token", { exact: true }).fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("navigation").waitFor();
}

/** Keeps a picture of what is on the screen. */
export async function picture(page: Page, name: string): Promise<void> {
  mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `console-${name}.png`), animations: "disabled" });
}
