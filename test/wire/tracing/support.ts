/** A real OpenTelemetry Collector, and what it hands on of the spans that it was given. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { findCollector } from "../../../host/collector.ts";
import { until } from "../../support/gateway.ts";
import { accepts, freePort } from "../../../host/port.ts";

export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly traceState?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly resource: Readonly<Record<string, string | number>>;
  readonly status: { readonly code?: number; readonly message?: string };
}

export const SERVER = 2;
export const CLIENT = 3;

export interface TestCollector {
  readonly http: string;
  readonly grpc: string;
  /** Everything that came, as text. */
  text(): string;
  spans(): Span[];
  /** The spans of a trace, once there are so many. */
  trace(id: string, many: number): Promise<Span[]>;
}

/** Starts one that ends with the test. */
export async function startCollector(t: TestContext): Promise<TestCollector> {
  const command = findCollector(process.env);
  const bodies: string[] = [];
  const sink = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      bodies.push(Buffer.concat(chunks).toString("utf8"));
      response.setHeader("content-type", "application/json");
      response.end("{}");
    });
  });
  sink.listen(0, "127.0.0.1");
  await once(sink, "listening");
  const dir = mkdtempSync(join(tmpdir(), "tidegate-collector-"));
  const [httpPort, grpcPort] = [await freePort(), await freePort()];
  const file = join(dir, "collector.yaml");
  writeFileSync(
    file,
    `receivers:
  otlp:
    protocols:
      http: { endpoint: "127.0.0.1:${httpPort}" }
      grpc: { endpoint: "127.0.0.1:${grpcPort}" }
exporters:
  otlphttp:
    endpoint: "http://127.0.0.1:${(sink.address() as AddressInfo).port}"
    encoding: json
    compression: none
    sending_queue: { enabled: false }
service:
  telemetry: { metrics: { level: none }, logs: { level: warn } }
  pipelines:
    traces: { receivers: [otlp], exporters: [otlphttp] }
`,
  );
  const child = spawn(command, ["--config", file], { stdio: ["ignore", "pipe", "pipe"] });
  let words = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      words = (words + chunk).slice(-4_000);
    });
  }
  t.after(async () => {
    if (child.exitCode === null) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    sink.close();
    sink.closeAllConnections();
    rmSync(dir, { recursive: true, force: true });
  });
  for (const port of [httpPort, grpcPort]) {
    await until(
      "the collector listens",
      () => {
        if (child.exitCode !== null) throw new Error(`the collector ended:\n${words}`);
        return accepts(port);
      },
      Boolean,
      20_000,
    );
  }
  const spans = (): Span[] => bodies.flatMap(spansOf);
  return {
    http: `http://127.0.0.1:${httpPort}`,
    grpc: `grpc://127.0.0.1:${grpcPort}`,
    text: () => bodies.join("\n"),
    spans,
    trace: (id, many) =>
      until(
        `${many} spans of ${id}`,
        () => spans().filter(({ traceId }) => traceId === id),
        (found) => found.length >= many,
      ),
  };
}

interface JsonAttribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: string };
}

function spansOf(body: string): Span[] {
  const { resourceSpans } = JSON.parse(body) as {
    resourceSpans: {
      resource: { attributes: JsonAttribute[] };
      scopeSpans: { spans: (Omit<Span, "attributes"> & { attributes: JsonAttribute[] })[] }[];
    }[];
  };
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        ...span,
        attributes: plain(span.attributes),
        resource: plain(resource.attributes),
      })),
    ),
  );
}

function plain(attributes: readonly JsonAttribute[] = []): Record<string, string | number> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? Number(value.intValue)]),
  );
}
