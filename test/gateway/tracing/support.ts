/** A record of a request that failed over. */
import type { Recorded } from "../../../gateway/tracing/recorded.ts";

export function recorded(changes: Partial<Recorded["trace"]> = {}): Recorded {
  const attempt = {
    endpoint: "http://127.0.0.1:9101",
    version: "stable",
    error: "",
    spanId: "00f067aa0ba902b8",
  };
  return {
    kind: undefined,
    isExported: true,
    parentSpanId: "b7ad6b7169203331",
    tracestate: "",
    flags: 1,
    pattern: "/cart/*",
    scheme: "http",
    host: "shop.test",
    client: "127.0.0.1",
    protocol: "1.1",
    trace: {
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: "00f067aa0ba902b7",
      at: 1_700_000_000_000.25,
      revision: 1,
      route: "cart",
      unit: "sh",
      home: "hz",
      slot: 7,
      version: "stable",
      reason: "",
      failover: "timeout",
      method: "GET",
      path: "/cart/1",
      status: 200,
      problem: "",
      duration: 100,
      waited: 0,
      attempts: [
        { ...attempt, unit: "hz", start: 0, headers: -1, end: 50, status: 0, error: "timeout" },
        { ...attempt, unit: "sh", start: 50, headers: 90, end: 100, status: 200 },
      ],
      headers: {},
      stress: "",
      ...changes,
    },
  };
}
