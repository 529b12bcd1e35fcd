/**
 * Reads a request's header once: what the gateway must know of it, what is refused, and what is passed on.
 *
 * Hop-by-hop fields (RFC 9110 §7.6.1), those that Connection names, and every claim that only the gateway may make
 * are left out first; its own are added afterwards, so that nothing a client says can remove or forge them.
 */
import type { Decision } from "../model/decide.ts";
import { type HeaderList, isHeader } from "../model/header-list.ts";
import { hostOf } from "../model/request-target.ts";
import { PRIORITIES, type Priority } from "../model/route.ts";
import { STRESS_HEADER, type StressMark } from "../model/stress-mark.ts";
import { withoutOwn, withStress } from "./baggage.ts";
import type { Peer } from "./peer.ts";
import type { RefusalType } from "./refusal.ts";
import { isTraceparent, tracestateOf } from "./trace-context.ts";

export class RequestHead {
  /** Fields for the unit, flat; ours are appended by `addOwn`. */
  readonly out: string[] = [];
  /** The Host field or :authority, as it came; undefined when HTTP/1.0 named none. */
  authority: string | undefined = undefined;
  /** Lower-case host without port. */
  host = "";
  /** Undefined when the request has no Content-Length. */
  contentLength: number | undefined = undefined;
  chunked = false;
  traceparent: string | undefined = undefined;
  /** The client's, where the gateway's own span took its place. */
  parent: string | undefined = undefined;
  tracestate: string | undefined = undefined;
  /** Spans of it are recorded however it ends. */
  sampled = false;
  /** Where `traceparent` is in `out`: each attempt says its own. */
  traceAt = -1;
  expectContinue = false;
  upgrade = false;
  forwardedFor: string | undefined = undefined;
  forwardedProto: string | undefined = undefined;
  forwardedHost: string | undefined = undefined;
  forwarded: string | undefined = undefined;
  via: string | undefined = undefined;
  /** The client's, without what only the gateway may say. */
  baggage: string | undefined = undefined;
  /** What says that it is a stress mark, from whomever it comes; two of them are none. */
  stressMark: string | undefined = undefined;
  /** What a trusted peer says of the request's priority. */
  priority: Priority | undefined = undefined;
  /** Where the fields of one attempt begin in `out`; −1 before the first attempt. */
  placementFrom = -1;
  /** Why the request is refused. */
  refusal: RefusalType | undefined = undefined;
  refusalDetail: string | undefined = undefined;
}

const FATE = {
  pass: 0,
  drop: 1,
  host: 2,
  connection: 3,
  contentLength: 4,
  transferEncoding: 5,
  traceparent: 6,
  expect: 7,
  claim: 8,
  via: 9,
  cookie: 10,
  upgrade: 11,
  baggage: 12,
} as const;

/** What is done with a field of this name. A switch on the length keeps most names from being compared at all. */
function fateOf(name: string): number {
  switch (name.length) {
    case 2:
      return isHeader(name, "te") ? FATE.drop : FATE.pass;
    case 3:
      return isHeader(name, "via") ? FATE.via : FATE.pass;
    case 4:
      return isHeader(name, "host") ? FATE.host : FATE.pass;
    case 6:
      return isHeader(name, "expect") ? FATE.expect : isHeader(name, "cookie") ? FATE.cookie : FATE.pass;
    case 7:
      return isHeader(name, "upgrade")
        ? FATE.upgrade
        : isHeader(name, "trailer")
          ? FATE.drop
          : isHeader(name, "baggage")
            ? FATE.baggage
            : FATE.pass;
    case 9:
      return isHeader(name, "forwarded") || isHeader(name, "x-real-ip") ? FATE.claim : FATE.pass;
    case 10:
      return isHeader(name, "connection")
        ? FATE.connection
        : isHeader(name, "keep-alive")
          ? FATE.drop
          : FATE.pass;
    case 11:
      return isHeader(name, "traceparent") ? FATE.traceparent : FATE.pass;
    case 14:
      return isHeader(name, "content-length")
        ? FATE.contentLength
        : isHeader(name, "http2-settings")
          ? FATE.drop
          : FATE.pass;
    case 17:
      if (isHeader(name, "transfer-encoding")) return FATE.transferEncoding;
      break;
    case 16:
      if (isHeader(name, "proxy-connection")) return FATE.drop;
      break;
    case 19:
      if (isHeader(name, "proxy-authorization")) return FATE.drop;
      break;
  }
  if (name.length >= 11) {
    const c = name.charCodeAt(0);
    if (c === 0x78 || c === 0x58 /* x, X */) {
      const lower = name.toLowerCase();
      if (lower.startsWith("x-forwarded-") || lower.startsWith("x-tidegate-")) return FATE.claim;
    }
  }
  return FATE.pass;
}

/** Names whose reading with dashes only the gateway may send, or that frame a body. */
function isReserved(name: string): boolean {
  const dashed = name.replaceAll("_", "-").toLowerCase();
  return fateOf(dashed) !== FATE.pass;
}

export interface HeadOptions {
  readonly raw: HeaderList;
  readonly httpVersionMajor: number;
  readonly httpVersionMinor: number;
  readonly underscores: "refuse" | "pass";
  readonly peer: Peer;
}

export function readHead(options: HeadOptions): RequestHead {
  const { raw, peer, httpVersionMajor } = options;
  const head = new RequestHead();
  let named: Set<string> | undefined;
  let cookies: string | undefined;
  let tracestate: string[] | undefined;

  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    const value = raw[i + 1]!;
    if (name.charCodeAt(0) === 0x3a /* : */) {
      if (name === ":authority") head.authority = value;
      continue;
    }
    const fate = fateOf(name);
    if (fate === FATE.pass) {
      if (name.indexOf("_") !== -1 && (options.underscores === "refuse" || isReserved(name))) {
        return refuse(
          head,
          "ambiguous-header",
          `the name ${name} has an underscore, which many servers read as a dash`,
        );
      }
      if (isHeader(name, "tracestate")) {
        tracestate ??= [];
        tracestate.push(name, value);
      } else head.out.push(name, value);
      continue;
    }
    switch (fate) {
      case FATE.upgrade:
        head.upgrade = true;
        break;
      case FATE.host:
        if (httpVersionMajor >= 2) {
          if (head.authority !== undefined && head.authority !== value) {
            return refuse(head, "bad-host", "Host and :authority differ");
          }
        } else if (head.authority !== undefined)
          return refuse(head, "bad-host", "the Host field comes twice");
        head.authority = value;
        break;
      case FATE.connection:
        named = connectionNames(value, named);
        break;
      case FATE.contentLength:
        if (head.contentLength !== undefined) {
          return refuse(head, "ambiguous-length", "Content-Length comes twice");
        }
        head.contentLength = contentLengthOf(value);
        if (head.contentLength === -1) {
          return refuse(head, "ambiguous-length", "Content-Length is not a decimal number");
        }
        break;
      case FATE.transferEncoding:
        if (head.chunked) return refuse(head, "ambiguous-length", "Transfer-Encoding comes twice");
        if (value.trim().toLowerCase() !== "chunked") {
          return refuse(head, "unsupported-transfer-coding", undefined);
        }
        head.chunked = true;
        break;
      case FATE.traceparent:
        // Two trace parents are none: the specification says to begin anew.
        head.traceparent = head.traceparent === undefined && isTraceparent(value) ? value : "";
        break;
      case FATE.expect:
        if (value.toLowerCase() !== "100-continue") return refuse(head, "expectation-failed", undefined);
        head.expectContinue = true;
        break;
      case FATE.claim:
        if (isHeader(name, STRESS_HEADER)) head.stressMark = head.stressMark === undefined ? value : "";
        else if (peer.trusted) keepClaim(head, name.toLowerCase(), value);
        break;
      case FATE.via:
        head.via = head.via === undefined ? value : `${head.via}, ${value}`;
        break;
      case FATE.baggage:
        head.baggage = head.baggage === undefined ? value : `${head.baggage},${value}`;
        break;
      case FATE.cookie:
        // HTTP/2 may split the field; HTTP/1 may not (RFC 9113 §8.2.3).
        cookies = cookies === undefined ? value : `${cookies}; ${value}`;
        break;
    }
  }

  if (head.chunked && head.contentLength !== undefined) {
    return refuse(head, "ambiguous-length", "Content-Length and Transfer-Encoding contradict each other");
  }
  if (head.chunked && httpVersionMajor === 1 && options.httpVersionMinor === 0) {
    return refuse(head, "ambiguous-length", "HTTP/1.0 has no Transfer-Encoding");
  }
  if (head.authority !== undefined && head.authority !== "") {
    const host = hostOf(head.authority);
    if (host === undefined) return refuse(head, "bad-host", "the Host field is not a host");
    head.host = host;
  } else if (httpVersionMajor >= 2 || options.httpVersionMinor === 1) {
    return refuse(head, "bad-host", "the Host field is missing");
  }
  if (cookies !== undefined) head.out.push("cookie", cookies);
  if (head.baggage !== undefined) {
    head.baggage = named?.has("baggage") === true ? undefined : withoutOwn(head.baggage);
  }
  // It belongs to its traceparent, and goes with it.
  if (tracestate !== undefined && head.traceparent !== undefined && head.traceparent !== "") {
    head.tracestate = tracestateOf(tracestate);
    if (head.tracestate !== undefined) head.out.push(...tracestate);
  }
  if (named !== undefined) removeNamed(head.out, named);
  return head;
}

/** Adds what the gateway says of the client: the fields that are the same for every attempt. */
export function addForwarded(head: RequestHead, peer: Peer, httpVersion: string): void {
  const { out } = head;
  const authority = head.authority ?? "";
  if (head.authority !== undefined) out.push("host", authority);
  if (head.contentLength !== undefined) out.push("content-length", `${head.contentLength}`);
  if (head.baggage !== undefined) out.push("baggage", head.baggage);
  out.push(
    "x-forwarded-for",
    head.forwardedFor === undefined ? peer.address : `${head.forwardedFor}, ${peer.address}`,
    "x-forwarded-proto",
    head.forwardedProto ?? peer.proto,
    "x-forwarded-host",
    head.forwardedHost ?? authority,
    "forwarded",
    `${head.forwarded === undefined ? "" : `${head.forwarded}, `}${peer.forwarded}"${authority}"`,
    "via",
    `${head.via === undefined ? "" : `${head.via}, `}${httpVersion} tidegate`,
  );
}

/** What units are told of stress traffic: the mark, so that they may pass it on through a gateway, and its run. */
export function addStress(head: RequestHead, { run }: StressMark): void {
  head.baggage = withStress(head.baggage, run);
  head.out.push(STRESS_HEADER, head.stressMark!);
}

/** The fields for one attempt: what its unit is told of the placement replaces what the attempt before said. */
export function withPlacement(
  head: RequestHead,
  unit: string,
  epoch: string,
  { slot, pinned, key }: Pick<Decision, "slot" | "pinned" | "key">,
): string[] {
  const { out } = head;
  if (head.placementFrom === -1) head.placementFrom = out.length;
  else out.length = head.placementFrom;
  out.push("x-tidegate-unit", unit, "x-tidegate-epoch", epoch);
  if (slot !== -1) out.push("x-tidegate-slot", `${slot}`);
  // Its slot may well be another unit's: a unit guard has to look for the key.
  if (pinned) out.push("x-tidegate-pin", encodeURIComponent(key!));
  return out;
}

/** The address that the request comes from: the peer's, or what a trusted peer says. */
export function clientOf(head: RequestHead, peer: Peer): string {
  if (head.forwardedFor === undefined) return peer.address;
  const last = head.forwardedFor.slice(head.forwardedFor.lastIndexOf(",") + 1).trim();
  return last === "" ? peer.address : last;
}

function refuse(head: RequestHead, type: RefusalType, detail: string | undefined): RequestHead {
  head.refusal = type;
  head.refusalDetail = detail;
  return head;
}

/** Decimal digits only, within what a number holds exactly; −1 otherwise. */
function contentLengthOf(value: string): number {
  if (value.length === 0 || value.length > 15) return -1;
  for (let i = 0; i < value.length; i++) {
    const c = value.charCodeAt(i);
    if (c < 0x30 || c > 0x39) return -1;
  }
  return Number(value);
}

function keepClaim(head: RequestHead, lower: string, value: string): void {
  if (lower === "x-forwarded-for") {
    head.forwardedFor = head.forwardedFor === undefined ? value : `${head.forwardedFor}, ${value}`;
  } else if (lower === "x-forwarded-proto") head.forwardedProto ??= value;
  else if (lower === "x-forwarded-host") head.forwardedHost ??= value;
  else if (lower === "forwarded") {
    head.forwarded = head.forwarded === undefined ? value : `${head.forwarded}, ${value}`;
  } else if (lower === "x-tidegate-priority") {
    head.priority = PRIORITIES.find((p) => p === value);
  } else if (!lower.startsWith("x-tidegate-")) head.out.push(lower, value);
}

/** Lower-case names that a Connection field lists, beyond the two usual words. */
export function connectionNames(value: string, names: Set<string> | undefined): Set<string> | undefined {
  if (value === "keep-alive" || value === "close" || value === "Keep-Alive" || value === "Close")
    return names;
  let found = names;
  for (const token of value.split(",")) {
    const name = token.trim().toLowerCase();
    if (name === "" || name === "close" || name === "keep-alive") continue;
    found ??= new Set();
    found.add(name);
  }
  return found;
}

function removeNamed(out: string[], named: ReadonlySet<string>): void {
  let to = 0;
  for (let i = 0; i < out.length; i += 2) {
    if (named.has(out[i]!.toLowerCase())) continue;
    out[to] = out[i]!;
    out[to + 1] = out[i + 1]!;
    to += 2;
  }
  out.length = to;
}
