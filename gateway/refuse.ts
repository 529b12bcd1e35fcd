/** Writes an answer of the gateway's own. */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import type { Core } from "./core.ts";
import type { Degraded } from "./degrade.ts";
import { linger } from "./linger.ts";
import { problemBody, type RefusalType, refusalKind } from "./refusal.ts";

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

function problem(type: RefusalType, detail: string | undefined, more: Particulars | undefined): Degraded {
  const kind = refusalKind(type);
  const body = problemBody(type, detail, more?.members);
  const length = `${Buffer.byteLength(body)}`;
  const fields = [
    "content-type",
    "application/problem+json",
    "content-length",
    length,
    "cache-control",
    "no-store",
  ];
  const retryAfter = more?.retryAfter ?? kind.retryAfter;
  if (retryAfter !== undefined) fields.push("retry-after", `${retryAfter}`);
  if (more !== undefined) fields.push(...more.fields);
  return { status: kind.status, fields, body };
}

/** @param degraded what stands in for the problem · @returns the status that was sent */
export function answer(
  core: Core,
  request: IncomingMessage,
  response: ServerResponse,
  type: RefusalType,
  detail: string | undefined,
  degraded?: Degraded | undefined,
  more?: Particulars,
): number {
  const { status, body, fields } = degraded ?? problem(type, detail, more);
  if (request.httpVersionMajor === 2) {
    // No prototype: a stored answer may have a field of any name.
    const object: Record<string, string | string[]> = Object.create(null) as never;
    for (let i = 0; i < fields.length; i += 2) {
      const known = object[fields[i]!];
      object[fields[i]!] = known === undefined ? fields[i + 1]! : [known, fields[i + 1]!].flat();
    }
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
      response.shouldKeepAlive = false;
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
