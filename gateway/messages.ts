/** What the main thread and the traffic threads say to each other. */
import type { MetricsDelta } from "./metrics.ts";
import type { TlsOptions } from "./server.ts";
import type { Snapshot } from "./snapshot.ts";
import type { TraceDelta } from "./tracing/recorded.ts";

/** Everything a traffic thread needs to begin. */
export interface ThreadStart {
  readonly thread: number;
  readonly threads: number;
  readonly memory: SharedArrayBuffer;
  readonly snapshot: Snapshot;
  readonly host: string;
  /** 0 lets the system choose; undefined serves no plain HTTP. */
  readonly port: number | undefined;
  readonly tlsPort: number | undefined;
  readonly tls: TlsOptions | undefined;
  /** `off`, `-` for standard output, or a file. */
  readonly accessLog: string;
  /** Spans go to a collector. */
  readonly exportsSpans: boolean;
  readonly salt: string;
  /** The gateway is already stopping. */
  readonly lameDuck: boolean;
}

export type ToThread =
  | { readonly type: "snapshot"; readonly snapshot: Snapshot }
  | { readonly type: "tls"; readonly tls: TlsOptions }
  /** Hand the metrics over so often (ms) from now on. */
  | { readonly type: "pace"; readonly milliseconds: number }
  /** Hand the metrics over now. */
  | { readonly type: "collect" }
  /** Go on serving, but politely send clients away. */
  | { readonly type: "lame-duck" }
  /** Stop accepting; finish what is under way within this many milliseconds. */
  | { readonly type: "drain"; readonly grace: number };

export type FromThread =
  | { readonly type: "ready"; readonly port: number | undefined; readonly tlsPort: number | undefined }
  /** It cannot listen; said before it exits. */
  | { readonly type: "failed"; readonly message: string }
  | { readonly type: "swapped"; readonly revision: number }
  /** Keys of fleet limits that were seen for the first time: limit, row of its leases, key. */
  | { readonly type: "keys"; readonly keys: readonly (readonly [limit: string, row: number, key: string])[] }
  | { readonly type: "suspect"; readonly row: number; readonly failures: number; readonly answered: boolean }
  | {
      readonly type: "metrics";
      readonly delta: MetricsDelta;
      /** What is counted of stress traffic. */
      readonly stress: MetricsDelta;
      readonly accessLogDropped: number;
      /** Undefined: nothing was recorded. */
      readonly traces: TraceDelta | undefined;
    }
  /** A defect, caught; the thread goes on. */
  | { readonly type: "error"; readonly message: string }
  | { readonly type: "drained"; readonly cutOff: number };
