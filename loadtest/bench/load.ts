/** One measured run: wrk against a proxy, and the CPU that the proxy used meanwhile. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { LOAD_CORE, PROXY_CORE } from "./peers.ts";
import { coreSeconds, cpuSeconds, runToEnd } from "./processes.ts";

export interface Case {
  readonly name: string;
  readonly path: string;
  readonly method: "GET" | "POST";
}

export const CASES: Readonly<Record<string, Case>> = {
  small: { name: "small GET", path: "/hall/small", method: "GET" },
  cart: { name: "small GET, sharded", path: "/cart/1", method: "GET" },
  "64k": { name: "64 KiB GET", path: "/hall/64k", method: "GET" },
  post: { name: "4 KiB POST", path: "/hall/post", method: "POST" },
};

export interface Run {
  readonly requests: number;
  readonly perSecond: number;
  readonly cpuMicros: number;
  readonly p50: number;
  readonly p99: number;
  /** Answers other than 2xx and socket errors. */
  readonly errors: number;
  /** Share of the proxy's core that others used meanwhile, 0 to 1. */
  readonly others: number;
}

/** @param seconds how long; the load stops by itself */
export async function run(
  dir: string,
  pid: number,
  port: number,
  what: Case,
  connections: number,
  seconds: number,
): Promise<Run> {
  const script = join(dir, "load.lua");
  writeFileSync(script, lua(what));
  const from = performance.now();
  const before = cpuSeconds(pid);
  const coreBefore = coreSeconds(PROXY_CORE);
  const text = await runToEnd(
    LOAD_CORE,
    [
      "wrk",
      "-t1",
      `-c${connections}`,
      `-d${seconds}s`,
      "--timeout",
      "10s",
      "-s",
      script,
      `http://127.0.0.1:${port}${what.path}`,
    ],
    seconds + 20,
  );
  const cpu = cpuSeconds(pid) - before;
  const others = coreSeconds(PROXY_CORE) - coreBefore - cpu;
  const result = /^RESULT (.*)$/m.exec(text)?.[1];
  if (result === undefined) throw new Error(`no result of wrk: ${text.trim().slice(-200)}`);
  const { requests, duration, p50, p99, errors } = JSON.parse(result) as Record<string, number>;
  return {
    requests: requests!,
    perSecond: Math.round(requests! / (duration! / 1e6)),
    cpuMicros: (cpu * 1e6) / Math.max(1, requests!),
    p50: p50! / 1000,
    p99: p99! / 1000,
    errors: errors!,
    others: Math.max(0, others / ((performance.now() - from) / 1000)),
  };
}

/** Every request carries a user of its own, for every proxy alike. */
function lua(what: Case): string {
  return `
wrk.method = "${what.method}"
${what.method === "POST" ? 'wrk.body = string.rep("x", 4096)\nwrk.headers["content-type"] = "application/octet-stream"' : ""}
local requests = {}
local next_request = 0
function init(args)
  for i = 1, 997 do
    wrk.headers["x-user-id"] = "user-" .. i
    requests[i] = wrk.format(nil, "${what.path}")
  end
end
function request()
  next_request = next_request % 997 + 1
  return requests[next_request]
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('RESULT {"requests":%d,"duration":%d,"p50":%d,"p99":%d,"errors":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.timeout + e.status))
end
`;
}
