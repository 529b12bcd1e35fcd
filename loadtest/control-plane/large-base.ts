/** A change of a large base: how long it takes, and how long nobody else is answered meanwhile. */
import { Agent } from "undici";
import { fleetFiles } from "./fleet.ts";
import { Plane } from "./plane.ts";

export interface LargeBase {
  readonly routes: number;
  /** Bytes of its files. */
  readonly bytes: number;
  /** Milliseconds from the start of the process to its port. */
  readonly boot: number;
  readonly steps: readonly Step[];
}

interface Step {
  readonly name: string;
  /** Milliseconds until it was answered. */
  readonly took: number;
  /** The longest that somebody who only asks for `/healthz` waited meanwhile, in milliseconds. */
  readonly stall: number;
  /** Whether this control plane led all the time. */
  readonly led: boolean;
}

/** A route as people write them: with timeouts, retries, a breaker and a limit. */
const POLICIES =
  "failover: all, timeout: { connect: 300ms, headers: 2s, idle: 10s, total: 15s }, " +
  "retry: { attempts: 2, on: [ refused, reset, timeout, 502, 503, 504 ], budget: 20% }, " +
  "breaker: { errors: 50%, volume: 20, window: 10s, open: 5s }, limits: [ all ]";

export function largeFiles(routes: number, mark: number): Record<string, string> {
  const files = fleetFiles({ units: 10, services: 200, routes }, mark, "http://127.0.0.1:9");
  return { ...files, "routes.yaml": files["routes.yaml"]!.replaceAll("limits: [ all ]", POLICIES) };
}

export async function largeBase(routes: number): Promise<LargeBase> {
  const plane = new Plane();
  const first = largeFiles(routes, 0);
  const began = performance.now();
  await plane.start(first);
  const boot = performance.now() - began;
  const agent = new Agent({ connections: 4 });
  // Made beforehand: what this process is busy with would look like a stall of the other.
  const [preview, change, back] = [
    JSON.stringify({ files: largeFiles(routes, 1) }),
    JSON.stringify({ files: largeFiles(routes, 2), reason: "a large change" }),
    JSON.stringify({ to: 1, reason: "a large way back" }),
  ];
  const steps: Step[] = [];
  const step = async (name: string, method: "GET" | "POST" | "PUT", path: string, body?: string) => {
    const watch = watchStalls(agent, plane.origin);
    const start = performance.now();
    const answer = await agent.request({
      origin: plane.origin,
      method,
      path,
      body: body ?? null,
      headers: body === undefined ? {} : { "content-type": "application/json" },
      headersTimeout: 120_000,
    });
    await answer.body.dump({ limit: 1e9 });
    const took = performance.now() - start;
    if (answer.statusCode >= 300) throw new Error(`${name}: ${answer.statusCode}`);
    steps.push({ name, took, ...(await watch()) });
  };
  await step("preview", "POST", "/v1/config/preview", preview);
  await step("apply", "PUT", "/v1/config", change);
  await step("the difference of two revisions", "GET", "/v1/diff?from=1&to=2");
  await step("rollback", "POST", "/v1/rollback", back);
  await step("a look at the configuration", "GET", "/v1/config");
  await plane.kill();
  await agent.destroy();
  const bytes = Object.values(first).reduce((sum, text) => sum + text.length, 0);
  return { routes, bytes, boot, steps };
}

/** @returns how to stop, and what was seen */
function watchStalls(agent: Agent, origin: string): () => Promise<{ stall: number; led: boolean }> {
  let [stall, led, stopped] = [0, true, false];
  const ask = async (path: string): Promise<string> => {
    const { body } = await agent.request({ origin, method: "GET", path, headersTimeout: 120_000 });
    return await body.text();
  };
  const pings = (async () => {
    while (!stopped) {
      const start = performance.now();
      await ask("/healthz");
      stall = Math.max(stall, performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  const looks = (async () => {
    while (!stopped) {
      led &&= (JSON.parse(await ask("/v1/status")) as { leads: boolean }).leads;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  })();
  return async () => {
    // What was waiting when the answer came has waited, too.
    await new Promise((resolve) => setTimeout(resolve, 300));
    stopped = true;
    await Promise.all([pings, looks]);
    return { stall, led };
  };
}
