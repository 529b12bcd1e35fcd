/** Writes an answer of the gateway's own. */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import type { Fallback } from "../model/route.ts";
import type { Core } from "./core.ts";
import { linger } from "./linger.ts";
import { problemBody, type RefusalType, refusalKind } from "./refusal.ts";

/** Failures of the way to a unit, for which a route's fallback stands in. The client's own mistakes are not among them. */
const RESCUED: ReadonlySet<RefusalType> = new Set([
  "no-pool",
  "no-healthy-unit",
  "breaker",
  "shed",
  "upstream-refused",
  "upstream-reset",
  "upstream-malformed",
  "upstream-timeout",
]);

/** A request body larger than this is not read to its end for the sake of keeping the connection. */
const MOST_DRAINED = 65_536;

/** What one refusal says beyond its kind. */
export interface Particulars {
  /** Seconds. */
  readonly retryAfter: number;
  /** Header fields, flat. */
  readonly fields: readonly string[];
  /** Members of the problem document. */
  readonly members: Readonly<Record<string, string>>;
}

/** @returns the status that was sent. */
export function answer(
  core: Core,
  request: IncomingMessage,
  response: ServerResponse,
  type: RefusalType,
  detail: string | undefined,
  fallback?: Fallback | undefined,
  more?: Particulars,
): number {
  const kind = refusalKind(type);
  const rescued = fallback !== undefined && RESCUED.has(type);
  const status = rescued ? fallback.status : kind.status;
  const body = rescued ? fallback.body : problemBody(type, detail, more?.members);
  const fields: string[] = [
    "content-type",
    rescued ? fallback.contentType : "application/problem+json",
    "content-length",
    `${Buffer.byteLength(body)}`,
    "cache-control",
    "no-store",
  ];
  const retryAfter = more?.retryAfter ?? kind.retryAfter;
  if (!rescued && retryAfter !== undefined) fields.push("retry-after", `${retryAfter}`);
  if (!rescued && more !== undefined) fields.push(...more.fields);
  if (rescued) fields.push("x-tidegate-fallback", type);
  if (request.httpVersionMajor === 2) {
    const object: Record<string, string> = {};
    for (let i = 0; i < fields.length; i += 2) object[fields[i]!] = fields[i + 1]!;
    response.writeHead(status, object);
  } else {
    // Framing that is in doubt, or a long body that nobody will read: the connection ends with this answer.
    if (
      core.lameDuck ||
      !isDrainable(request) ||
      type === "ambiguous-length" ||
      type === "bad-request" ||
      type === "ambiguous-header"
    ) {
      if (!request.complete) linger(core.deadlines, response.socket);
      fields.push("connection", "close");
    }
    // Never the reason of a unit's answer that could not be written.
    response.writeHead(status, STATUS_CODES[status] ?? "", fields as never);
  }
  response.end(request.method === "HEAD" ? undefined : body);
  return status;
}

function isDrainable(request: IncomingMessage): boolean {
  if (request.complete) return true;
  if (request.headers["transfer-encoding"] !== undefined || request.headers.expect !== undefined)
    return false;
  return Number(request.headers["content-length"] ?? 0) <= MOST_DRAINED;
}
