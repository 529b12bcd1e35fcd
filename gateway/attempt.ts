/**
 * One try at one endpoint: undici's handler, which tells its exchange what happens and nothing once it is over.
 */
import type { Duplex, Readable } from "node:stream";
import type { Dispatcher } from "undici";
import type { IncomingHttpHeaders } from "undici/types/header.js";
import type { Endpoint } from "../model/table.ts";
import type { Baseline } from "./baselines.ts";
import type { Outcome, Trial } from "./breaker.ts";
import type { Question } from "./question.ts";
import { withPlacement } from "./request-head.ts";
import { reset } from "./reset.ts";
import type { Core } from "./core.ts";
import type { Connection, EndpointConnections } from "./upstream.ts";

/** Why an attempt failed; the first three are also words of `retry.on`. */
export type AttemptFailure = "refused" | "reset" | "timeout" | "malformed" | "invalid";

/** What an attempt tells. */
export interface AttemptListener {
  onSent(): void;
  onInformational(attempt: Attempt, status: number, headers: IncomingHttpHeaders): void;
  onHead(attempt: Attempt, status: number, headers: IncomingHttpHeaders, message: string): void;
  onData(attempt: Attempt, chunk: Buffer): void;
  onEnd(attempt: Attempt, trailers: IncomingHttpHeaders): void;
  onUpgrade(attempt: Attempt, headers: IncomingHttpHeaders, socket: Duplex): void;
  onFailure(attempt: Attempt, failure: AttemptFailure, detail: string): void;
}

/** An answer that is thrown away for a retry is read up to here, so that its connection can be used again. */
const MOST_DISCARDED = 65_536;

const ABORTED = new Error("aborted");

export class Attempt implements Dispatcher.DispatchHandler {
  readonly endpoint: Endpoint;
  /** By the clock (ms); −1 before. */
  readonly startedAt: number;
  headAt = -1;
  endedAt = -1;
  /** Of the answer; 0 before. */
  status = 0;
  /** What went wrong; empty when nothing did. */
  error = "";
  /** Empty where nobody records spans. */
  spanId = "";
  controller: Dispatcher.DispatchController | undefined = undefined;
  readonly #core: Core;
  readonly #unitRow: number;
  readonly #connections: EndpointConnections;
  readonly #connection: Connection;
  readonly #trial: Trial | undefined;
  /** Undefined once the attempt is over. */
  #listener: AttemptListener | undefined;
  #discarded = -1;
  #untilClose = false;
  #isUpgrade = false;
  readonly #baseline: Baseline;
  /** Since when the unit has the whole request (ms); −1 before, and once it began to answer. */
  #workingSince = -1;
  /** What it was at work for besides, then. */
  #among = 0;

  constructor(
    core: Core,
    endpoint: Endpoint,
    unitRow: number,
    trial: Trial | undefined,
    baseline: Baseline,
    listener: AttemptListener,
  ) {
    this.endpoint = endpoint;
    this.startedAt = core.clock.now();
    this.#core = core;
    this.#unitRow = unitRow;
    this.#listener = listener;
    this.#trial = trial;
    this.#baseline = baseline;
    core.inflight.begin(endpoint.id, unitRow);
    this.#connections = core.upstreams.of(endpoint);
    this.#connection = this.#connections.take();
  }

  /** The request has begun to go out: a server may have seen it. */
  get sent(): boolean {
    return this.controller !== undefined;
  }

  /**
   * @param unit the endpoint's
   * @param body what is left of it to send
   * @param isFirst of its request, which is copied once however often it is tried
   */
  send(question: Question, unit: string, body: Readable | Buffer | null, isFirst: boolean): void {
    const { identity, decision, table, upgradeHead } = question;
    this.#isUpgrade = upgradeHead !== undefined;
    this.spanId = this.#core.tracer.attempt(identity.head);
    const options = {
      path: identity.target,
      method: identity.method,
      headers: withPlacement(identity.head, unit, table.epoch, decision),
      body,
      // Without it undici closes the connection after every HEAD.
      reset: false,
      upgrade: upgradeHead === undefined ? undefined : "websocket",
      servername: this.#connections.servername,
    };
    this.#connection.client.dispatch(options as never, this);
    // A body that is still on its way cannot be sent twice.
    if (
      isFirst &&
      decision.route.spec.mirror !== undefined &&
      (body === null || Buffer.isBuffer(body)) &&
      upgradeHead === undefined &&
      identity.stress === undefined
    )
      this.#core.mirror.send(question, unit, body);
  }

  /** Nothing more is to come from the client: how long the unit takes from here is its own time. */
  beginWork(): void {
    if (this.#workingSince !== -1 || this.#listener === undefined) return;
    this.#workingSince = this.#core.clock.now();
    this.#among = this.#core.inflight.beginWork(this.#unitRow);
  }

  /** @param says whether the time it took says something of the unit */
  #endWork(says: boolean): void {
    if (this.#workingSince === -1) return;
    const core = this.#core;
    const row = this.#unitRow;
    core.inflight.endWork(row);
    if (says) {
      const now = core.clock.now();
      // Late on the way out, and late to hear of the answer.
      const took = Math.max(0, now - this.#workingSince - 2 * core.lag.milliseconds);
      const { load } = core.live;
      const baseline = this.#baseline.sample(took, now, this.#among, load.calm[row] === 1);
      load.answered(row, took, baseline, this.#baseline.isStress);
    }
    this.#workingSince = -1;
    core.queues.wake(row);
  }

  /** Ends the attempt from our side. The connection is closed: what is under way on it is nobody's. @param error why */
  abort(outcome: Outcome, error: string): void {
    if (!this.#over(outcome)) return;
    this.error = error;
    this.#close();
  }

  /** The answer is not wanted (a retry follows): read a little to keep the connection, then forget it. */
  discard(outcome: Outcome): void {
    if (this.#over(outcome)) this.#discarded = 0;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    if (this.#listener === undefined) controller.abort(ABORTED);
    else this.#listener.onSent();
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
    message?: string,
  ): void {
    if (this.#listener === undefined) return;
    this.#untilClose = headers["content-length"] === undefined && headers["transfer-encoding"] === undefined;
    if (status < 200) this.#listener.onInformational(this, status, headers);
    else {
      const listener = this.#listener;
      this.status = status;
      this.headAt = this.#core.clock.now();
      // A guard's refusal says nothing of how quick its unit is.
      this.#endWork(status < 500 && status !== 421);
      listener.onHead(this, status, headers, message ?? "");
    }
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#listener !== undefined) {
      this.#listener.onData(this, chunk);
    } else if (this.#discarded >= 0) {
      this.#discarded += chunk.length;
      if (this.#discarded > MOST_DISCARDED) this.#close();
    }
  }

  onResponseEnd(controller: Dispatcher.DispatchController, trailers: IncomingHttpHeaders): void {
    // undici takes a reset for the end of a body that only the connection's end bounds.
    if (this.#untilClose && this.#connection.socket?.errored) {
      this.onResponseError(controller, this.#connection.socket.errored);
      return;
    }
    this.#connections.give(this.#connection);
    this.#listener?.onEnd(this, trailers);
  }

  onRequestUpgrade(
    _controller: Dispatcher.DispatchController,
    _status: number,
    headers: IncomingHttpHeaders,
    socket: Duplex,
  ): void {
    // The socket is no longer undici's; its client has nothing left.
    void this.#connection.client.destroy();
    if (this.#listener === undefined) socket.destroy();
    else this.#listener.onUpgrade(this, headers, socket);
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    const listener = this.#listener;
    if (listener === undefined) return;
    const failure = failureOf(error, this.sent);
    this.error = failure;
    this.#endWork(false);
    if (this.#over(failure === "invalid" ? "neutral" : "failure")) void this.#connection.client.destroy();
    listener.onFailure(this, failure, messageOf(error));
  }

  /** The unit agreed to a tunnel: that was its success. The place is held until the tunnel ends. */
  upgraded(): void {
    this.status = 101;
    this.headAt = this.#core.clock.now();
    this.#endWork(true);
    this.#trial?.settle("success");
  }

  /** A good answer has begun. */
  answered(): void {
    this.#trial?.answered();
  }

  /** The answer came whole. */
  finish(outcome: Outcome): void {
    this.#over(outcome);
  }

  /** Gives back what the attempt held. False when that was done before. */
  #over(outcome: Outcome): boolean {
    if (this.#listener === undefined) return false;
    this.#listener = undefined;
    this.endedAt = this.#core.clock.now();
    // Given up while it was at work. A unit that hangs is not slow: breakers and health checks find it.
    this.#endWork(false);
    this.#core.inflight.end(this.endpoint.id, this.#unitRow);
    this.#trial?.settle(outcome);
    this.#core.queues.wake(this.#unitRow);
    return true;
  }

  #close(): void {
    this.#discarded = -1;
    const { socket } = this.#connection;
    // What the unit has not read yet it shall not read once the request is another unit's. A handshake asks for nothing,
    // and units that do not expect a reset there are common.
    if (socket !== undefined && !this.#isUpgrade) reset(socket);
    if (this.controller === undefined) void this.#connection.client.destroy(ABORTED);
    else this.controller.abort(ABORTED);
    // undici would go on with a client whose socket is gone; a new one is simpler to reason about.
    void this.#connection.client.destroy(ABORTED);
  }
}

function failureOf(error: Error & { code?: string }, sent: boolean): AttemptFailure {
  const code = error.code ?? "";
  if (code === "UND_ERR_INVALID_ARG" || code === "UND_ERR_NOT_SUPPORTED") return "invalid";
  if (code === "UND_ERR_REQ_CONTENT_LENGTH_MISMATCH") return "invalid";
  if (!sent) return "refused";
  if (
    // undici's parser errors have no code: it looks numbers up in a table by name.
    error.name === "HTTPParserError" ||
    error.name === "AssertionError" ||
    code === "UND_ERR_HEADERS_OVERFLOW" ||
    code === "UND_ERR_RES_CONTENT_LENGTH_MISMATCH"
  ) {
    return "malformed";
  }
  return "reset";
}

function messageOf(error: Error & { code?: string; errors?: readonly Error[] }): string {
  // Dual-stack connects fail with an AggregateError that has no message of its own.
  return error.message || error.errors?.[0]?.message || error.code || error.name;
}
