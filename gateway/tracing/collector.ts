/** A collector that takes spans by OTLP, and the two ways to hand them to it. */
import http2 from "node:http2";
import { Client } from "undici";

/** Where it is. */
export interface CollectorAddress {
  /** `http:` or `https:`. */
  readonly origin: string;
  /** Of OTLP over HTTP. */
  readonly path: string;
  readonly protocol: "http" | "grpc";
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What became of one message. `again`: it may be sent once more, not before so many milliseconds. */
export type Sent =
  | { readonly taken: true; readonly rejected: number }
  | { readonly taken: false; readonly again: boolean; readonly after: number; readonly why: string };

export interface Collector {
  /** Never throws. @param deadline milliseconds */
  send(message: Buffer, deadline: number): Promise<Sent>;
  close(): void;
}

const TRACES = "/v1/traces";
const EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/** An answer longer than this is no answer. */
const MOST_ANSWER = 65_536;
const LONGEST_AFTER = 60_000;

const SCHEMES: Readonly<Record<string, readonly ["http" | "grpc", string]>> = {
  "http:": ["http", "http:"],
  "https:": ["http", "https:"],
  "grpc:": ["grpc", "http:"],
  "grpcs:": ["grpc", "https:"],
};

/** @param headers `name=value,name=value`, values percent-encoded, as OTEL_EXPORTER_OTLP_HEADERS has them · @returns what is wrong */
export function collectorAddress(text: string, headers = ""): CollectorAddress | string {
  const wrong = `is ${text.replace(/\/\/[^@/]*@/, "//…@")}; expected a URL such as http://127.0.0.1:4318 or grpc://127.0.0.1:4317`;
  const scheme = /^[a-z]+:/.exec(text)?.[0] ?? "";
  const found = Object.hasOwn(SCHEMES, scheme) ? SCHEMES[scheme] : undefined;
  const url = found === undefined ? null : URL.parse(`${found[1]}${text.slice(scheme.length)}`);
  if (found === undefined || url === null || url.hostname === "" || url.username + url.password !== "")
    return wrong;
  const given: Record<string, string> = {};
  for (const field of headers.split(",")) {
    if (field.trim() === "") continue;
    const at = field.indexOf("=");
    const name = field.slice(0, at).trim().toLowerCase();
    if (at < 1 || !/^[\w-]+$/.test(name)) return "has headers that are not name=value,name=value";
    try {
      given[name] = decodeURIComponent(field.slice(at + 1).trim());
    } catch {
      return `has a header ${name} whose value is not percent-encoded`;
    }
  }
  const path = url.pathname === "/" ? TRACES : url.pathname;
  return { origin: url.origin, path, protocol: found[0], headers: given };
}

export function openCollector(address: CollectorAddress): Collector {
  return address.protocol === "http" ? new HttpCollector(address) : new GrpcCollector(address);
}

class HttpCollector implements Collector {
  readonly #address: CollectorAddress;
  readonly #client: Client;

  constructor(address: CollectorAddress) {
    this.#address = address;
    this.#client = new Client(address.origin, { connect: { timeout: 3_000 }, pipelining: 1 });
  }

  async send(message: Buffer, deadline: number): Promise<Sent> {
    try {
      const { statusCode, headers, body } = await this.#client.request({
        path: this.#address.path,
        method: "POST",
        headers: {
          "user-agent": "tidegate",
          ...this.#address.headers,
          "content-type": "application/x-protobuf",
        },
        body: message,
        signal: AbortSignal.timeout(deadline),
      });
      const said = await answerOf(body);
      if (statusCode >= 200 && statusCode < 300) return { taken: true, rejected: rejectedOf(said) };
      const again = statusCode === 429 || (statusCode >= 502 && statusCode <= 504);
      return { taken: false, again, after: afterOf(headers["retry-after"]), why: `it answers ${statusCode}` };
    } catch (error) {
      return unreachable(error as Error);
    }
  }

  close(): void {
    void this.#client.destroy();
  }
}

/** Over HTTP/2 as gRPC has it: one message behind five bytes, the verdict in the trailers. */
class GrpcCollector implements Collector {
  readonly #address: CollectorAddress;
  #session: http2.ClientHttp2Session | undefined;

  constructor(address: CollectorAddress) {
    this.#address = address;
  }

  async send(message: Buffer, deadline: number): Promise<Sent> {
    try {
      return await this.#send(message, deadline);
    } catch (error) {
      this.close();
      return unreachable(error as Error);
    }
  }

  #connected(): http2.ClientHttp2Session {
    const known = this.#session;
    if (known !== undefined && !known.closed && !known.destroyed) return known;
    const session = http2.connect(this.#address.origin);
    // Streams fail with it, and say so.
    session.on("error", () => session.destroy());
    session.on("goaway", () => session.close());
    session.unref();
    this.#session = session;
    return session;
  }

  #send(message: Buffer, deadline: number): Promise<Sent> {
    return new Promise((resolve, reject) => {
      const stream = this.#connected().request({
        "user-agent": "tidegate",
        ...this.#address.headers,
        ":method": "POST",
        ":path": EXPORT,
        "content-type": "application/grpc",
        te: "trailers",
        "grpc-timeout": `${deadline}m`,
      });
      const timer = setTimeout(() => {
        stream.destroy();
        // A connection that hangs is not tried again.
        reject(new Error(`no answer in ${deadline} ms`));
      }, deadline);
      let said = Buffer.alloc(0);
      let verdict: http2.IncomingHttpHeaders = {};
      stream.on("response", (headers) => {
        verdict = headers;
      });
      stream.on("trailers", (headers: http2.IncomingHttpHeaders) => {
        verdict = { ...verdict, ...headers };
      });
      stream.on("data", (chunk: Buffer) => {
        said = Buffer.concat([said, chunk]);
        if (said.length > MOST_ANSWER) stream.destroy(new Error("the answer is too long"));
      });
      stream.on("error", reject);
      stream.on("close", () => {
        clearTimeout(timer);
        resolve(grpcVerdict(verdict, said));
      });
      const head = Buffer.alloc(5);
      head.writeUInt32BE(message.length, 1);
      stream.write(head);
      stream.end(message);
    });
  }

  close(): void {
    this.#session?.destroy();
    this.#session = undefined;
  }
}

/** Codes after which the specification of OTLP has a message sent again. */
const AGAIN = new Set([1, 4, 8, 10, 11, 14, 15]);

function grpcVerdict(headers: http2.IncomingHttpHeaders, said: Buffer): Sent {
  const status = headers["grpc-status"];
  if (status === "0") return { taken: true, rejected: rejectedOf(said.subarray(5)) };
  if (status === undefined) {
    const http = Number(headers[":status"] ?? 0);
    const again = http === 0 || http === 429 || (http >= 502 && http <= 504);
    return { taken: false, again, after: 0, why: http === 0 ? "the connection ended" : `it answers ${http}` };
  }
  return {
    taken: false,
    again: AGAIN.has(Number(status)),
    after: 0,
    why: `it answers gRPC status ${status}`,
  };
}

async function answerOf(body: AsyncIterable<Buffer> & { destroy(): void }): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > MOST_ANSWER) throw new Error("the answer is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Of an ExportTraceServiceResponse: field 1 (partial_success), in it field 1 (rejected_spans). */
function rejectedOf(said: Buffer): number {
  if (said.length < 4 || said[0] !== 0x0a || said[2] !== 0x08) return 0;
  let value = 0;
  for (let i = 3, factor = 1; i < Math.min(said.length, 8); i++, factor *= 128) {
    value += (said[i]! & 0x7f) * factor;
    if (said[i]! < 0x80) return value;
  }
  return 0;
}

function afterOf(header: string | string[] | undefined): number {
  const seconds = Number(header);
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(LONGEST_AFTER, seconds * 1_000) : 0;
}

function unreachable(error: Error & { code?: string }): Sent {
  const why = error.name === "TimeoutError" ? "no answer in time" : error.message || error.code || error.name;
  return { taken: false, again: true, after: 0, why };
}
