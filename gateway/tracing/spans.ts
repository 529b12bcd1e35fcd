/**
 * Requests as OpenTelemetry spans (opentelemetry-proto v1, semantic conventions for HTTP): one SERVER span for the
 * request and one CLIENT span for each attempt, as the body of an ExportTraceServiceRequest.
 */
import type { TracedAttempt } from "../../model/request-trace.ts";
import { ProtobufWriter } from "./protobuf.ts";
import type { Recorded } from "./recorded.ts";

const SCHEMA = "https://opentelemetry.io/schemas/1.37.0";
const KIND = { server: 2, client: 3 } as const;
const ERROR = 2;
/** Bits of a span's flags: whether the parent is another process's is known, and it is. */
const KNOWN = 0x100;
const REMOTE = 0x200;
const METHODS = new Set(["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"]);

/** Who says it. */
export interface Resource {
  readonly gateway: string;
  readonly fleet: string;
  readonly version: string;
  readonly region: string | undefined;
}

/** Spans of one record. */
export function spansOf({ trace }: Recorded): number {
  return 1 + trace.attempts.length;
}

/** @returns the message; its bytes are its own */
export function exportRequest(records: readonly Recorded[], resource: Resource): Buffer {
  const out = new ProtobufWriter(1_024 + records.length * 1_024);
  out.message(1, () => {
    out.message(1, () => {
      text(out, 1, "service.name", "tidegate-gateway");
      text(out, 1, "service.version", resource.version);
      text(out, 1, "service.instance.id", resource.gateway);
      text(out, 1, "tidegate.fleet", resource.fleet);
      if (resource.region !== undefined) text(out, 1, "cloud.region", resource.region);
    });
    out.message(2, () => {
      out.message(1, () => {
        out.string(1, "tidegate");
        out.string(2, resource.version);
      });
      for (const record of records) spans(out, record);
    });
    out.string(3, SCHEMA);
  });
  return out.written;
}

function spans(out: ProtobufWriter, record: Recorded): void {
  const { trace } = record;
  out.message(2, () => server(out, record));
  for (const [i, attempt] of trace.attempts.entries()) out.message(2, () => client(out, record, attempt, i));
}

function server(out: ProtobufWriter, { trace, ...record }: Recorded): void {
  const method = METHODS.has(trace.method) ? trace.method : "_OTHER";
  const word = method === "_OTHER" ? "HTTP" : method;
  identify(out, trace.traceId, trace.spanId, record.tracestate, record.parentSpanId);
  out.string(5, record.pattern === "" ? word : `${word} ${record.pattern}`);
  out.number(6, KIND.server);
  times(out, trace.at, trace.at + trace.duration);
  text(out, 9, "http.request.method", method);
  if (method === "_OTHER") text(out, 9, "http.request.method_original", trace.method);
  text(out, 9, "url.path", trace.path);
  text(out, 9, "url.scheme", record.scheme);
  if (record.pattern !== "") text(out, 9, "http.route", record.pattern);
  if (trace.status > 0) whole(out, 9, "http.response.status_code", trace.status);
  if (record.host !== "") text(out, 9, "server.address", record.host);
  text(out, 9, "client.address", record.client);
  text(out, 9, "network.protocol.name", "http");
  text(out, 9, "network.protocol.version", record.protocol === "2.0" ? "2" : record.protocol);
  const agent = trace.headers["user-agent"];
  if (agent !== undefined) text(out, 9, "user_agent.original", agent);
  text(out, 9, "tidegate.route", trace.route);
  text(out, 9, "tidegate.unit", trace.unit);
  if (trace.home !== "") text(out, 9, "tidegate.home", trace.home);
  if (trace.slot !== -1) whole(out, 9, "tidegate.slot", trace.slot);
  if (trace.version !== "") text(out, 9, "tidegate.version", trace.version);
  if (trace.reason !== "") text(out, 9, "tidegate.reason", trace.reason);
  if (trace.failover !== "") text(out, 9, "tidegate.failover.cause", trace.failover);
  if (trace.problem !== "") text(out, 9, "tidegate.problem", trace.problem);
  if (trace.stress !== "") text(out, 9, "tidegate.stress.run", trace.stress);
  whole(out, 9, "tidegate.revision", trace.revision);
  whole(out, 9, "tidegate.attempts", trace.attempts.length);
  // A client that left is no failure of the server's; a problem behind a good status is (the answer broke off).
  const isBroken = trace.problem.startsWith("upstream-") || trace.problem === "fence-cut-off";
  if (trace.status >= 500 || isBroken) {
    const word = trace.problem === "" ? `${trace.status}` : trace.problem;
    text(out, 9, "error.type", word);
    failed(out, word);
  }
  out.fixed32(16, record.flags | KNOWN | (record.parentSpanId === "" ? 0 : REMOTE));
}

function client(
  out: ProtobufWriter,
  { trace, ...record }: Recorded,
  attempt: TracedAttempt,
  i: number,
): void {
  const method = METHODS.has(trace.method) ? trace.method : "_OTHER";
  identify(out, trace.traceId, attempt.spanId, record.tracestate, trace.spanId);
  out.string(5, method === "_OTHER" ? "HTTP" : method);
  out.number(6, KIND.client);
  times(out, trace.at + attempt.start, trace.at + attempt.end);
  text(out, 9, "http.request.method", method);
  const url = URL.parse(attempt.endpoint);
  // Without the query, which may carry secrets.
  text(out, 9, "url.full", `${attempt.endpoint}${trace.path}`);
  if (url !== null) {
    text(out, 9, "server.address", url.hostname);
    whole(out, 9, "server.port", Number(url.port) || (url.protocol === "https:" ? 443 : 80));
  }
  if (attempt.status > 0) whole(out, 9, "http.response.status_code", attempt.status);
  if (i > 0) whole(out, 9, "http.request.resend_count", i);
  text(out, 9, "tidegate.unit", attempt.unit);
  text(out, 9, "tidegate.version", attempt.version);
  const word = attempt.error !== "" ? attempt.error : attempt.status >= 400 ? `${attempt.status}` : "";
  if (word !== "") text(out, 9, "error.type", word);
  if (attempt.headers >= 0) {
    out.message(11, () => {
      out.fixed64(1, nanos(trace.at + attempt.headers));
      out.string(2, "headers");
    });
  }
  if (word !== "") failed(out, word);
  out.fixed32(16, record.flags | KNOWN);
}

function identify(out: ProtobufWriter, trace: string, span: string, state: string, parent: string): void {
  out.hex(1, trace);
  out.hex(2, span);
  if (state !== "") out.string(3, state);
  if (parent !== "") out.hex(4, parent);
}

function times(out: ProtobufWriter, from: number, to: number): void {
  out.fixed64(7, nanos(from));
  out.fixed64(8, nanos(to));
}

function failed(out: ProtobufWriter, message: string): void {
  out.message(15, () => {
    out.string(2, message);
    out.number(3, ERROR);
  });
}

/** A number of milliseconds since 1970 has no room for nanoseconds; it has for microseconds. */
function nanos(milliseconds: number): bigint {
  return BigInt(Math.round(milliseconds * 1_000)) * 1_000n;
}

function text(out: ProtobufWriter, field: number, key: string, value: string): void {
  out.message(field, () => {
    out.string(1, key);
    out.message(2, () => out.string(1, value));
  });
}

function whole(out: ProtobufWriter, field: number, key: string, value: number): void {
  out.message(field, () => {
    out.string(1, key);
    out.message(2, () => out.integer(3, value));
  });
}
