/**
 * Every answer that the gateway gives by itself, in one list: what happened → status, problem type, advice.
 *
 * Bodies are `application/problem+json` (RFC 9457). `type` is stable and names the hop that refused.
 */

export interface RefusalKind {
  readonly status: number;
  readonly title: string;
  /** Seconds, where trying again later helps. */
  readonly retryAfter?: number;
}

const KINDS = {
  // The request itself.
  "bad-request": { status: 400, title: "The request is malformed" },
  "bad-host": { status: 400, title: "The Host field is missing, double, or not a host" },
  "ambiguous-path": { status: 400, title: "The path could be read in two ways" },
  "ambiguous-header": { status: 400, title: "A header field could be read in two ways" },
  "ambiguous-length": { status: 400, title: "The body's length could be read in two ways" },
  "no-partition-key": { status: 400, title: "The route places by user and the request names none" },
  "contradictory-partition-key": { status: 400, title: "The request names two different users" },
  "stress-mark": { status: 403, title: "The stress mark is forged, expired or malformed" },
  "stress-stopped": { status: 403, title: "The stress run was stopped" },
  "no-route": { status: 404, title: "No route matches the request" },
  "method-not-allowed": { status: 405, title: "The gateway does not take this method" },
  "request-timeout": { status: 408, title: "The request did not arrive in time" },
  "body-too-large": { status: 413, title: "The body is larger than the route takes" },
  "expectation-failed": { status: 417, title: "Only Expect: 100-continue is understood" },
  limit: { status: 429, title: "A limit is used up", retryAfter: 1 },
  "headers-too-large": { status: 431, title: "The request's header is too large" },
  "unsupported-transfer-coding": { status: 501, title: "Only the chunked transfer coding is understood" },
  // The way to a unit.
  "no-pool": { status: 503, title: "The service has no pool in a unit that may serve this request" },
  "no-healthy-unit": { status: 503, title: "No unit that may serve this request is healthy", retryAfter: 1 },
  degraded: { status: 503, title: "The route is degraded by an operator", retryAfter: 10 },
  breaker: { status: 503, title: "The circuit to the unit is open", retryAfter: 1 },
  fence: { status: 503, title: "The user moves to another unit", retryAfter: 1 },
  "fence-cut-off": { status: 504, title: "The user moved to another unit before this one answered" },
  misdirected: { status: 503, title: "The unit says that the user is not its own", retryAfter: 1 },
  shed: { status: 503, title: "The unit is busy, and more urgent requests go first", retryAfter: 1 },
  "too-many-connections": {
    status: 503,
    title: "The gateway has as many connections as it may",
    retryAfter: 1,
  },
  "upstream-refused": { status: 502, title: "No connection to the unit could be made" },
  "upstream-reset": { status: 502, title: "The unit ended the connection before it answered" },
  "upstream-malformed": { status: 502, title: "The unit's answer is not valid HTTP" },
  "upstream-timeout": { status: 504, title: "The unit did not answer in time" },
  stopping: { status: 503, title: "The gateway is stopping", retryAfter: 1 },
  internal: { status: 500, title: "The gateway failed" },
} as const satisfies Record<string, RefusalKind>;

export type RefusalType = keyof typeof KINDS;

export function refusalKind(type: RefusalType): RefusalKind {
  return KINDS[type];
}

/** The problem document. `detail` must never carry secrets: it is shown to the client. */
export function problemBody(
  type: RefusalType,
  detail: string | undefined,
  members?: Readonly<Record<string, string>>,
): string {
  const kind: RefusalKind = KINDS[type];
  return JSON.stringify({
    type: `urn:tidegate:problem:${type}`,
    title: kind.title,
    status: kind.status,
    ...(detail === undefined ? {} : { detail }),
    ...members,
  });
}

/** A whole HTTP/1.1 answer for a socket that has no response object (parse errors, refused upgrades). */
export function rawRefusal(type: RefusalType, detail: string | undefined): string {
  const kind = refusalKind(type);
  const body = problemBody(type, detail);
  return (
    `HTTP/1.1 ${kind.status} ${STATUS_TEXT[kind.status] ?? "Refused"}\r\n` +
    "content-type: application/problem+json\r\n" +
    `content-length: ${Buffer.byteLength(body)}\r\n` +
    (kind.retryAfter === undefined ? "" : `retry-after: ${kind.retryAfter}\r\n`) +
    `connection: close\r\n\r\n${body}`
  );
}

const STATUS_TEXT: Readonly<Record<number, string>> = {
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Content Too Large",
  417: "Expectation Failed",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};
