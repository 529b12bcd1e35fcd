/** The first step: who asks for what, and whether the question can mean only one thing. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { RouteRequest } from "../model/decide.ts";
import { ambiguityOf } from "../model/request-target.ts";
import type { StressMark } from "../model/stress-mark.ts";
import type { Core } from "./core.ts";
import { type Peer, peerOf } from "./peer.ts";
import type { RefusalType } from "./refusal.ts";
import { answer } from "./refuse.ts";
import { addForwarded, addStress, clientOf, type RequestHead, readHead } from "./request-head.ts";
import { settleRefused } from "./settle.ts";
import { STOPPED } from "./stress-marks.ts";

export interface Identity extends RouteRequest {
  readonly head: RequestHead;
  readonly peer: Peer;
  /** Path and query exactly as they came; what is sent. */
  readonly target: string;
  readonly startedAt: number;
  /** `1.1`, `2.0`. */
  readonly httpVersion: string;
  /** Of stress traffic: verified. `stress` is its unit. */
  readonly mark: StressMark | undefined;
}

/** @returns undefined when the request was refused, and answered. */
export function identify(
  core: Core,
  request: IncomingMessage,
  response: ServerResponse,
): Identity | undefined {
  const startedAt = core.clock.now();
  const { settings } = core;
  const raw = request.rawHeaders;
  // llhttp also takes HTTP/0.9 and "HTTP/2.0" in the syntax of HTTP/1.
  if (request.httpVersionMajor !== 1 && (request as { stream?: unknown }).stream === undefined) {
    response.shouldKeepAlive = false;
    return refuse(core, request, response, "bad-request", "the version is not HTTP/1.0 or HTTP/1.1");
  }
  if (raw.length > settings.client.maxHeaders * 2) {
    return refuse(
      core,
      request,
      response,
      "headers-too-large",
      `more than ${settings.client.maxHeaders} fields`,
    );
  }
  const peer = peerOf(request.socket, core.networks);
  const head = readHead({
    raw,
    httpVersionMajor: request.httpVersionMajor,
    httpVersionMinor: request.httpVersionMinor,
    underscores: settings.underscores,
    peer,
  });
  if (
    (request as { upgrade?: boolean }).upgrade === true &&
    (head.chunked || (head.contentLength ?? 0) > 0)
  ) {
    return refuse(core, request, response, "bad-request", "an upgrade has no body");
  }
  // Node has lost what came behind such a request in one packet, and with it the count of the answers.
  if (head.upgrade === true) response.shouldKeepAlive = false;
  if (head.refusal !== undefined) return refuse(core, request, response, head.refusal, head.refusalDetail);

  let target = request.url ?? "";
  if (target.charCodeAt(0) !== 0x2f /* / */) {
    const origin = originForm(target, head.authority);
    if (origin === undefined) {
      return refuse(
        core,
        request,
        response,
        "bad-request",
        "the request target must be a path, or a URL of the host that Host names",
      );
    }
    target = origin;
  }
  const mark = target.indexOf("?");
  const path = mark === -1 ? target : target.slice(0, mark);
  const query = mark === -1 ? "" : target.slice(mark + 1);
  const ambiguity = ambiguityOf(path) ?? queryProblem(query);
  if (ambiguity !== undefined) return refuse(core, request, response, "ambiguous-path", ambiguity);

  let stressed: StressMark | undefined;
  if (head.stressMark !== undefined) {
    const read = core.stress.marks.read(head.stressMark);
    if (typeof read === "string") {
      return refuse(core, request, response, read === STOPPED ? "stress-stopped" : "stress-mark", read);
    }
    stressed = read;
    addStress(head, read);
  }

  core.tracer.begin(head);
  addForwarded(head, peer, request.httpVersion);
  return {
    method: request.method!,
    host: head.host,
    path,
    query,
    headers: raw,
    client: clientOf(head, peer),
    head,
    peer,
    target,
    startedAt,
    httpVersion: request.httpVersion,
    stress: stressed?.unit,
    mark: stressed,
  };
}

/** Path and query of an absolute-form target (RFC 9112 §3.2.2) that names the same host as Host does. */
function originForm(target: string, authority: string | undefined): string | undefined {
  const lower = target.slice(0, 8).toLowerCase();
  const from = lower.startsWith("http://") ? 7 : lower.startsWith("https://") ? 8 : -1;
  if (from === -1) return undefined;
  let end = from;
  while (end < target.length && target[end] !== "/" && target[end] !== "?") end++;
  if (target.slice(from, end).toLowerCase() !== authority?.toLowerCase()) return undefined;
  const rest = target.slice(end);
  return rest.startsWith("/") ? rest : `/${rest}`;
}

/** The query is the unit's business and is passed on as it came; only bytes that no URL has are refused. */
function queryProblem(query: string): string | undefined {
  for (let i = 0; i < query.length; i++) {
    const c = query.charCodeAt(i);
    if (c <= 0x20 || c >= 0x7f) return "the query has a byte that must be percent-encoded";
    if (c === 0x23) return "the query has a fragment (#)";
  }
  return undefined;
}

function refuse(
  core: Core,
  request: IncomingMessage,
  response: ServerResponse,
  type: RefusalType,
  detail: string | undefined,
): undefined {
  const status = answer(core, request, response, type, detail);
  settleRefused(core, request, status, type, undefined, undefined);
  return undefined;
}
