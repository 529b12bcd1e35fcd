/**
 * The life of one request: attempts at endpoints until one begins to answer, then the answer to the client.
 *
 * The decision is made before (decide) and the table does not change under it; what changes meanwhile is health,
 * which every further attempt looks at anew.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { IncomingHttpHeaders } from "undici/types/header.js";
import { type Decision, isSafe, nextCandidate, poolFor } from "../model/decide.ts";
import type { RetryCause } from "../model/route.ts";
import type { CompiledUnit, Endpoint, EndpointPool, Table } from "../model/table.ts";
import { Attempt, type AttemptFailure, type AttemptListener } from "./attempt.ts";
import type { Core } from "./core.ts";
import { TICK, Waiting } from "./deadlines.ts";
import type { Peer } from "./peer.ts";
import { answer } from "./refuse.ts";
import type { RefusalType } from "./refusal.ts";
import type { BodyFailure, RequestBody } from "./request-body.ts";
import type { RequestHead } from "./request-head.ts";
import { rescue } from "./rescue.ts";
import { http1Head, http2Head, trailersOf } from "./response-head.ts";
import { settle } from "./settle.ts";
import { Tunnel, tunnelHead } from "./tunnel.ts";

const SMALL_BODY = 4_096;

export interface ExchangeParts {
  readonly core: Core;
  readonly table: Table;
  readonly decision: Decision;
  readonly head: RequestHead;
  readonly peer: Peer;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: RequestBody | undefined;
  readonly path: string;
  readonly startedAt: number;
  /** What the client sent behind its Upgrade; undefined for a plain request. */
  readonly upgradeHead: Buffer | undefined;
}

export class Exchange extends Waiting implements AttemptListener {
  readonly core: Core;
  readonly table: Table;
  readonly decision: Decision;
  readonly head: RequestHead;
  readonly peer: Peer;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: string;
  readonly method: string;
  readonly startedAt: number;
  /** The unit that was tried last, or will be next. */
  unit: CompiledUnit | undefined = undefined;
  pool: EndpointPool | undefined = undefined;
  attempts = 0;
  /** Status that the client was given; 0 before. */
  status = 0;
  /** Why the gateway answered by itself; empty when a unit did. */
  problem: RefusalType | "client-closed" | "" = "";
  /** Why the request left its home unit, for `tidegate_failovers_total`. */
  failoverCause = "unhealthy";

  readonly #body: RequestBody | undefined;
  readonly #upgradeHead: Buffer | undefined;
  readonly #http2: boolean;
  #attempt: Attempt | undefined;
  #tried: Endpoint[] | undefined;
  #candidate: number;
  #lastFailure: AttemptFailure | RetryCause | undefined;
  #lastDetail = "";
  /** The unit's in-flight bound stopped the last look for an endpoint. */
  #full = false;
  #breakerOpen = false;
  #queuedAt = -1;
  #phase: "connect" | "headers" | "body" | "stream" | "queue" | "closing" = "connect";
  readonly #overdueTotal: number;
  /** Bytes that the answer still owes by its Content-Length; −1 when it named none. */
  #owed = -1;
  #listensToDrain = false;
  /** Where the fields begin that belong to an attempt; −1 before the first. */
  #ownFrom = -1;
  #settled = false;

  constructor(parts: ExchangeParts) {
    super();
    this.core = parts.core;
    this.table = parts.table;
    this.decision = parts.decision;
    this.head = parts.head;
    this.peer = parts.peer;
    this.request = parts.request;
    this.response = parts.response;
    this.path = parts.path;
    this.method = parts.request.method!;
    this.startedAt = parts.startedAt;
    this.#body = parts.body;
    this.#upgradeHead = parts.upgradeHead;
    this.#http2 = parts.request.httpVersionMajor === 2;
    const { total } = parts.decision.route.spec.timeout;
    this.#overdueTotal = total === 0 ? Number.POSITIVE_INFINITY : this.startedAt + total;
    this.#candidate = parts.decision.panic
      ? Math.floor(this.core.random.next() * parts.decision.candidates.length)
      : parts.decision.first;
  }

  get #timeout() {
    return this.decision.route.spec.timeout;
  }

  begin(): void {
    this.core.deadlines.add(this);
    (this.response as ResponseOfExchange)[kExchange] = this;
    this.response.on("close", onResponseClose);
    this.core.budget(this.decision.route).request(this.startedAt);
    if (this.#body === undefined) {
      this.#advance();
      return;
    }
    const body = this.#body;
    body.onActivity = () => this.#onBodyActivity();
    body.onFailure = (failure) => this.#onBodyFailure(failure);
    body.onEnd = () => this.#onBodyEnd();
    this.#wait("body", this.#timeout.idle);
    if (this.head.expectContinue) this.response.writeContinue();
    body.start(() => this.#advance());
  }

  // --- choosing -----------------------------------------------------------------------------------------------

  /** Starts the next attempt, waits for a place, or gives up. */
  #advance(): void {
    const endpoint = this.#nextEndpoint();
    if (endpoint !== undefined) this.#try(endpoint);
    else if (this.#full) this.#queue();
    else this.#giveUp();
  }

  #nextEndpoint(): Endpoint | undefined {
    const { candidates, panic } = this.decision;
    this.#full = false;
    for (let looked = 0; looked < candidates.length; looked++) {
      const at = panic ? (this.#candidate + looked) % candidates.length : this.#candidate + looked;
      if (at >= candidates.length) break;
      const endpoint = this.#endpointIn(at);
      if (endpoint !== undefined || this.#full) {
        this.#candidate = at;
        return endpoint;
      }
    }
    return undefined;
  }

  #endpointIn(candidate: number): Endpoint | undefined {
    const { core, decision } = this;
    const { panic, version } = decision;
    const pools = decision.candidates[candidate]!;
    const pool = panic
      ? version === "canary" && pools.canary !== undefined
        ? pools.canary
        : pools.stable
      : poolFor(core.live, pools, version);
    if (pool === undefined) return undefined;
    const breaker = core.breakers.of(decision.route, pool.unit);
    if (breaker !== undefined && !breaker.allows) {
      this.#breakerOpen = true;
      this.failoverCause = "breaker";
      return undefined;
    }
    const endpoint = core.picker.pick(pool, this.#tried, panic);
    if (endpoint === undefined) return undefined;
    this.unit = pool.unit;
    this.pool = pool;
    if (
      core.live.unitInflight[core.unitRow(pool.unit)]! >= pool.unit.spec.inflight ||
      core.live.inflight[endpoint.id]! >= pool.service.spec.inflight
    ) {
      this.#full = true;
      return undefined;
    }
    return endpoint;
  }

  #queue(): void {
    const { unit, core } = this;
    const { queue } = unit!.spec;
    if (this.#queuedAt === -1) this.#queuedAt = core.clock.now();
    if (!core.queues.join(core.unitRow(unit!), queue.size, this))
      this.#refuse("overload", `${unit!.name}'s queue is full`);
    else this.#waitUntil("queue", this.#queuedAt + queue.wait);
  }

  /** @internal A place in the unit may be free. */
  onPlace(): void {
    if (this.#settled) return;
    this.#advance();
  }

  // --- attempts -----------------------------------------------------------------------------------------------

  #try(endpoint: Endpoint): void {
    const { core, head, decision, unit } = this;
    const body = this.#body === undefined ? null : this.#body.forAttempt();
    this.attempts++;
    const trial = core.breakers.of(decision.route, unit!)?.begin();
    const attempt = new Attempt(core, endpoint, core.unitRow(unit!), trial, this);
    this.#attempt = attempt;
    this.#wait("connect", this.#timeout.connect);
    const { out } = head;
    // A further attempt replaces what the one before said of its unit.
    if (this.#ownFrom === -1) this.#ownFrom = out.length;
    else out.length = this.#ownFrom;
    out.push("x-tidegate-unit", unit!.name, "x-tidegate-epoch", this.table.epoch);
    if (decision.slot !== -1) out.push("x-tidegate-slot", `${decision.slot}`);
    attempt.dispatch({
      path: this.path,
      method: this.method as never,
      headers: out,
      body,
      // Without it undici closes the connection after every HEAD.
      reset: false,
      upgrade: this.#upgradeHead === undefined ? undefined : "websocket",
      servername: attempt.servername,
    } as never);
  }

  onSent(_attempt: Attempt): void {
    if (this.#body !== undefined && !this.#body.ended) this.#wait("body", this.#timeout.idle);
    else this.#wait("headers", this.#timeout.headers);
  }

  onInformational(status: number, headers: IncomingHttpHeaders): void {
    // 101 cannot come (we sent no Upgrade), 100 was answered by us; Node can pass on 102 and 103.
    if (status === 103 && headers.link !== undefined)
      this.response.writeEarlyHints({ ...headers, link: headers.link });
    else if (status === 102 && !this.#http2) this.response.writeProcessing();
  }

  onHead(attempt: Attempt, status: number, headers: IncomingHttpHeaders, message: string): void {
    const { core } = this;
    if (status >= 500) core.endpointFailed(attempt.endpoint);
    else core.endpointServed(attempt.endpoint);
    if (
      status >= 429 &&
      this.#isRetryStatus(status) &&
      this.#mayRetry(String(status) as RetryCause, attempt)
    ) {
      attempt.discard(status >= 500 ? "failure" : "success");
      this.#retry(attempt, String(status) as RetryCause);
      return;
    }
    this.status = status;
    try {
      this.#writeHead(status, headers, message);
    } catch (error) {
      attempt.abort("failure");
      this.status = 0;
      core.endpointFailed(attempt.endpoint);
      this.#refuse("upstream-malformed", (error as Error).message);
      return;
    }
    this.#phase = "stream";
    this.deadline = this.#owed > 0 ? 0 : this.core.deadlines.coarseNow + TICK + this.#timeout.idle;
  }

  #writeHead(status: number, headers: IncomingHttpHeaders, message: string): void {
    const { response } = this;
    // An answer before the whole request: the connection cannot be used again, since nobody reads the rest.
    const early = this.#body !== undefined && !this.#body.ended;
    const length = headers["content-length"];
    this.#owed = typeof length === "string" && hasBody(this.method, status) ? Number(length) : -1;
    if (this.#http2) {
      response.writeHead(status, http2Head(headers, status));
    } else {
      const flat = http1Head(headers, status);
      if (early || this.core.lameDuck) flat.push("connection", "close");
      response.writeHead(status, message, flat as never);
    }
    // A header whose body is not in the same packet goes out by itself: at once where no length is known (server-sent
    // events), else at the next tick of the deadlines, for a body of known length nearly always comes with it.
    if (this.#owed === -1 && hasBody(this.method, status)) process.nextTick(flushHead, response);
  }

  onData(attempt: Attempt, chunk: Buffer): void {
    this.#touch(this.#timeout.idle);
    if (this.#owed >= 0) {
      this.#owed -= chunk.length;
      if (this.#owed === 0) {
        this.#endWith(chunk);
        return;
      }
    }
    if (!this.response.write(chunk)) {
      attempt.controller!.pause();
      if (!this.#listensToDrain) {
        this.#listensToDrain = true;
        this.response.on("drain", () => {
          this.#touch(this.#timeout.idle);
          this.#attempt?.controller?.resume();
        });
      }
    }
  }

  /** The last bytes and the end in one system call. */
  #endWith(chunk: Buffer): void {
    // A small body joins the header in one string: Node would send a Buffer beside it with writev, at twice the cost.
    if (chunk.length <= SMALL_BODY && !this.#http2) this.response.end(chunk.toString("latin1"), "latin1");
    else this.response.end(chunk);
  }

  onEnd(attempt: Attempt, trailers: IncomingHttpHeaders): void {
    attempt.finish(this.status >= 500 ? "failure" : "success");
    this.#attempt = undefined;
    const { response } = this;
    if (!response.writableEnded) {
      for (const _ in trailers) {
        response.addTrailers(trailersOf(trailers));
        break;
      }
      response.end();
    }
    this.#closing();
  }

  onUpgrade(attempt: Attempt, headers: IncomingHttpHeaders, upstream: Duplex): void {
    this.core.endpointServed(attempt.endpoint);
    attempt.upgraded();
    this.status = 101;
    const client = this.response.socket!;
    // From here on the client's socket is a tunnel's and not an answer's.
    this.response.off("close", onResponseClose);
    this.response.detachSocket(client);
    this.core.deadlines.remove(this);
    new Tunnel(this.core.deadlines, client, upstream, () => {
      attempt.finish("success");
      this.#settle();
    }).open(tunnelHead(headers), this.#upgradeHead!);
  }

  onFailure(attempt: Attempt, failure: AttemptFailure, detail: string): void {
    this.#attempt = undefined;
    if (failure !== "invalid") this.core.endpointFailed(attempt.endpoint);
    if (this.status !== 0) {
      // The answer had begun: the client must see that it broke off, never a clean end.
      this.#abandonClient("upstream-reset");
      return;
    }
    this.#lastDetail = detail;
    if (failure === "invalid") {
      this.#refuse("bad-request", detail);
      return;
    }
    const cause = failure === "malformed" ? "reset" : failure;
    if (this.#mayRetry(cause, attempt)) this.#retry(attempt, failure);
    else {
      this.#lastFailure = failure;
      this.#giveUp();
    }
  }

  // --- retrying -----------------------------------------------------------------------------------------------

  #isRetryStatus(status: number): boolean {
    const { on } = this.decision.route.spec.retry;
    for (const cause of on) if (Number(cause) === status) return true;
    return false;
  }

  #mayRetry(cause: RetryCause, attempt: Attempt): boolean {
    const { retry } = this.decision.route.spec;
    if (this.attempts > retry.attempts || !retry.on.includes(cause)) return false;
    // An unsafe request is repeated only if no server can have seen it, or if the route says that it may.
    if (!isSafe(this.method) && attempt.sent && !retry.unsafe) return false;
    if (this.#body !== undefined && !this.#body.replayable) return false;
    if (this.core.clock.now() >= this.#overdueTotal) return false;
    if (!this.core.budget(this.decision.route).take(retry.budget)) {
      this.core.metrics.count("tidegate_retry_budget_exhausted_total", `route="${this.decision.route.name}"`);
      return false;
    }
    return true;
  }

  #retry(attempt: Attempt, failure: AttemptFailure | RetryCause): void {
    this.#attempt = undefined;
    this.#lastFailure = failure;
    this.failoverCause = failure;
    this.#tried ??= [];
    this.#tried.push(attempt.endpoint);
    const { core, decision, pool } = this;
    core.metrics.count("tidegate_attempts_total", `unit="${this.unit!.name}",outcome="${failure}"`);
    // Next endpoint, then next unit. The last attempt goes to another unit if there is one: two endpoints that
    // failed say more about the unit than about each other.
    const last = this.attempts >= decision.route.spec.retry.attempts;
    const another =
      decision.panic ||
      nextCandidate(core.live, decision.candidates, decision.version, this.#candidate + 1) !== -1;
    const here = core.picker.pick(pool!, this.#tried, decision.panic);
    if (here === undefined || (last && another && decision.candidates.length > 1)) {
      if (another && decision.candidates.length > 1) this.#candidate++;
      else if (here === undefined) this.#tried = undefined; // Nothing else is left: the same endpoint, on a new connection.
    }
    this.#advance();
  }

  #giveUp(): void {
    const type = rescue(this.#lastFailure, this.#breakerOpen, this.decision.panic);
    this.#refuse(type, this.#lastDetail === "" ? undefined : this.#lastDetail);
  }

  /** Answers by the route's fallback where the way to a unit failed, else with a problem. */
  #refuse(type: RefusalType, detail: string | undefined): void {
    this.problem = type;
    this.#body?.abandon();
    this.status = answer(
      this.core,
      this.request,
      this.response,
      type,
      detail,
      this.decision.route.spec.fallback,
    );
    this.#closing();
  }

  // --- time ---------------------------------------------------------------------------------------------------

  #wait(phase: "connect" | "headers" | "body" | "stream", milliseconds: number): void {
    this.#waitUntil(phase, this.core.deadlines.coarseNow + TICK + milliseconds);
  }

  #waitUntil(phase: typeof this.phase, moment: number): void {
    this.#phase = phase;
    this.deadline = Math.min(moment, this.#overdueTotal);
  }

  /** Moves the deadline on by the coarse clock, which is read for every chunk. */
  #touch(milliseconds: number): void {
    this.deadline = Math.min(this.core.deadlines.coarseNow + TICK + milliseconds, this.#overdueTotal);
  }

  get phase() {
    return this.#phase;
  }

  override onOverdue(now: number): void {
    const total = now >= this.#overdueTotal;
    switch (this.#phase) {
      case "queue":
        this.core.queues.leave(this.core.unitRow(this.unit!), this);
        this.#refuse("overload", `${this.unit!.name} had no free place in ${this.unit!.spec.queue.wait} ms`);
        return;
      case "body":
        this.#attempt?.abort("neutral");
        this.#attempt = undefined;
        this.#refuse("request-timeout", "the body stopped arriving");
        return;
      case "connect":
      case "headers":
        this.#onAttemptOverdue(total);
        return;
      case "stream":
        if (this.#owed > 0 && !isFlushed(this.response)) {
          flushHead(this.response);
          this.#wait("stream", this.#timeout.idle);
          return;
        }
        // Either side stopped: the stream is cut, so that neither takes it for whole.
        this.#attempt?.abort(this.response.writableNeedDrain ? "neutral" : "failure");
        this.#attempt = undefined;
        this.#abandonClient("upstream-timeout");
        return;
      case "closing":
        this.response.destroy();
        return;
    }
  }

  #onAttemptOverdue(total: boolean): void {
    const attempt = this.#attempt;
    if (attempt === undefined) {
      this.#refuse("upstream-timeout", undefined);
      return;
    }
    const failure = attempt.sent ? "timeout" : "refused";
    attempt.abort("failure");
    this.core.endpointFailed(attempt.endpoint);
    this.#lastDetail = attempt.sent ? "no answer in time" : "no connection in time";
    if (!total && this.#mayRetry(failure, attempt)) this.#retry(attempt, failure);
    else {
      this.#attempt = undefined;
      this.#lastFailure = "timeout";
      this.#giveUp();
    }
  }

  // --- the client ---------------------------------------------------------------------------------------------

  #onBodyActivity(): void {
    if (this.#phase === "body" || this.#phase === "stream") this.#touch(this.#timeout.idle);
  }

  #onBodyEnd(): void {
    if (this.#phase === "body" && this.#attempt?.sent === true) this.#wait("headers", this.#timeout.headers);
  }

  #onBodyFailure(failure: BodyFailure): void {
    if (failure === "aborted") return; // The response's close says so too.
    this.#attempt?.abort("neutral");
    this.#attempt = undefined;
    if (this.status !== 0) this.#abandonClient("body-too-large");
    else this.#refuse("body-too-large", `the route takes ${this.decision.route.spec.maxBody} bytes`);
  }

  /** The answer cannot be completed: break the connection, as HTTP asks for a message that is not whole. */
  #abandonClient(problem: RefusalType): void {
    this.problem = problem;
    this.response.destroy();
    this.#settle();
  }

  /** The answer is on its way out; the socket may still take a while, but not for ever. */
  #closing(): void {
    this.#waitUntil("closing", this.core.deadlines.coarseNow + TICK + this.#timeout.idle);
    this.#settle();
  }

  /** @internal The response's `close`: it was sent whole, or the client left. */
  onClientClose(): void {
    this.core.deadlines.remove(this);
    if (this.#settled) return;
    if (this.#phase === "queue") this.core.queues.leave(this.core.unitRow(this.unit!), this);
    this.#attempt?.abort("neutral");
    this.#attempt = undefined;
    this.#body?.abandon();
    this.problem = "client-closed";
    if (this.status === 0) this.status = 499;
    this.#settle();
  }

  #settle(): void {
    if (this.#settled) return;
    this.#settled = true;
    settle(this);
  }
}

const kExchange = Symbol("exchange");
type ResponseOfExchange = ServerResponse & { [kExchange]?: Exchange };

/** One function for all responses, so that no request makes one. */
function onResponseClose(this: ServerResponse): void {
  (this as ResponseOfExchange)[kExchange]!.onClientClose();
}

function hasBody(method: string, status: number): boolean {
  return method !== "HEAD" && status !== 204 && status !== 304;
}

/** Node knows whether a header has left only by a field of its own; for HTTP/2 it is sent at once. */
function isFlushed(response: ServerResponse & { _headerSent?: boolean }): boolean {
  return response._headerSent !== false;
}

function flushHead(response: ServerResponse): void {
  if (!isFlushed(response) && !response.writableEnded && !response.destroyed) response.flushHeaders();
}
