/**
 * The life of one request: attempts at endpoints until one begins to answer, then the answer to the client.
 *
 * The decision is made before (decide) and the table does not change under it; what changes meanwhile is health,
 * which every further attempt looks at anew.
 */
import type { Duplex } from "node:stream";
import type { IncomingHttpHeaders } from "undici/types/header.js";
import type { RetryCause } from "../model/route.ts";
import type { Endpoint } from "../model/table.ts";
import { AnswerStream } from "./answer-stream.ts";
import { Attempt, type AttemptFailure, type AttemptListener } from "./attempt.ts";
import { guardCauseOf } from "./course.ts";
import { ExchangeRecord } from "./exchange-record.ts";
import type { RefusalType } from "./refusal.ts";
import type { Question } from "./question.ts";
import { answer } from "./refuse.ts";
import type { BodyFailure, BodyListener, RequestBody } from "./request-body.ts";
import { disown, own, type ResponseOwner } from "./response-owner.ts";
import { rescue } from "./rescue.ts";
import { retriedLabels } from "./retried.ts";
import { mayRetry, retryCauseOf } from "./retry.ts";
import { settle, versionOf } from "./settle.ts";
import type { Recorder } from "./stale-recorder.ts";
import { Turn, type TurnHolder } from "./turn.ts";
import type { GuardCause } from "./unit-guard-refusal.ts";

/** What an exchange waits for. */
type Phase = "connect" | "headers" | "body" | "stream" | "queue" | "closing";

export class Exchange
  extends ExchangeRecord<Phase>
  implements AttemptListener, BodyListener, TurnHolder, ResponseOwner
{
  #attempt: Attempt | undefined;
  #lastFailure: AttemptFailure | RetryCause | undefined;
  #lastDetail = "";
  #turn: Turn | undefined;
  readonly #answer: AnswerStream;
  readonly #body: RequestBody | undefined;
  #recorder: Recorder | undefined;

  constructor(question: Question) {
    super(question, "connect");
    this.#answer = new AnswerStream(question.request, question.response);
    this.#body = question.body;
  }

  get #timeout() {
    return this.decision.route.spec.timeout;
  }

  begin(): void {
    this.core.deadlines.add(this);
    own(this.question.response, this);
    this.#recorder = this.recorder();
    this.budget.begin(this.identity.startedAt);
    if (this.isCorrected) this.#body?.adopt(this);
    // A client that waits for a 100 is told to go on by the attempt that can take its body, and by nobody else.
    if (this.#body === undefined || this.identity.head.expectContinue || this.isCorrected) {
      this.#advance();
      return;
    }
    this.wait("body", this.#timeout.idle);
    this.#body.start(this);
  }

  onBodyReady(): void {
    if (this.attempts === 0) this.#advance();
  }

  /** Starts the next attempt, waits for a place, or gives up. */
  #advance(): void {
    const endpoint = this.candidates.next();
    if (this.candidates.breakerOpen) this.failoverCause = "breaker";
    if (endpoint !== undefined) this.#try(endpoint);
    else if (this.candidates.full) this.#queue();
    else this.#giveUp();
  }

  #queue(): void {
    const { candidates, decision, identity } = this;
    const turn = new Turn(this.core, candidates, decision.key ?? identity.client, this);
    if (!turn.join()) return;
    this.#turn = turn;
    this.wait("queue", candidates.unit!.spec.queue.wait);
  }

  /** @internal */
  onPlace(endpoint: Endpoint | undefined): void {
    this.#turn = undefined;
    if (endpoint === undefined) this.#giveUp();
    else this.#try(endpoint);
  }

  /** @internal */
  onShed(why: string): void {
    this.#turn = undefined;
    this.#refuse("shed", why);
  }

  #try(endpoint: Endpoint): void {
    const { core, candidates } = this;
    const unit = candidates.unit!;
    this.attempts++;
    const isFirst = this.attempts === 1 && !this.isCorrected;
    if (this.#body !== undefined && this.identity.head.expectContinue && isFirst) {
      this.#answer.goOn();
      this.#body.start(this);
    }
    const body = this.#body === undefined ? null : this.#body.forAttempt();
    const trial = this.trialAt(unit);
    const baseline = this.baselineAt(unit);
    const attempt = new Attempt(core, endpoint, core.unitRow(unit), trial, baseline, this);
    this.#attempt = attempt;
    this.began(attempt);
    if (this.#body === undefined || this.#body.ended) attempt.beginWork();
    this.wait("connect", this.#timeout.connect);
    attempt.send(this.question, unit.name, body, isFirst);
  }

  onSent(): void {
    this.#body?.sent();
    if (this.#body !== undefined && !this.#body.ended) this.wait("body", this.#timeout.idle);
    else this.wait("headers", this.#timeout.headers);
  }

  onInformational(attempt: Attempt, status: number, headers: IncomingHttpHeaders): void {
    if (!this.#answer.informational(status, headers))
      this.#malformed(attempt, "too many informational answers");
  }

  onHead(attempt: Attempt, status: number, headers: IncomingHttpHeaders, message: string): void {
    const { core } = this;
    const guard = status === 421 && !this.isStress ? guardCauseOf(headers) : undefined;
    if (guard !== undefined) {
      this.#misdirected(attempt, guard);
      return;
    }
    if (status >= 500) this.endpointFailed(attempt.endpoint, true);
    else {
      this.endpointServed(attempt.endpoint);
      attempt.answered();
    }
    const cause = retryCauseOf(this.decision, status);
    if (cause !== undefined && this.#mayRetry(cause, attempt)) {
      attempt.discard(status >= 500 ? "failure" : "success");
      this.#retry(attempt, cause);
      return;
    }
    this.status = status;
    try {
      // An answer before the whole request: the connection cannot be used again, since nobody reads the rest.
      const early = this.#body !== undefined && !this.#body.ended;
      this.#answer.begin(core, status, headers, message, early);
    } catch (error) {
      this.#malformed(attempt, (error as Error).message);
      return;
    }
    if (this.#recorder?.head(status, headers) === false) this.#recorder = undefined;
    this.wait("stream", this.#timeout.idle);
    // Looked at on the next tick: a body of known length nearly always comes with its header.
    if (this.#answer.awaitsBody) this.deadline = 0;
  }

  /** The unit's guard let nothing of it in: neither its success nor its failure. */
  #misdirected(attempt: Attempt, cause: GuardCause): void {
    attempt.discard("neutral");
    this.#attempt = undefined;
    const obstacle = this.core.course.take(this, attempt.endpoint.pool.unit.name, cause);
    if (obstacle !== undefined) this.#refuse("misdirected", obstacle);
    else this.#recorder?.abandon();
  }

  onData(attempt: Attempt, chunk: Buffer): void {
    this.touch(this.#timeout.idle);
    this.core.nursery.streamed(chunk.length);
    this.#recorder?.data(chunk);
    if (!this.#answer.data(chunk, this)) attempt.controller!.pause();
  }

  /** The client takes more again. */
  onDrain(): void {
    this.touch(this.#timeout.idle);
    this.#attempt?.controller?.resume();
  }

  onEnd(attempt: Attempt, trailers: IncomingHttpHeaders): void {
    attempt.finish(this.status >= 500 ? "failure" : "success");
    this.#attempt = undefined;
    this.#answer.end(trailers);
    this.#recorder?.end();
    this.#closing();
  }

  onUpgrade(attempt: Attempt, headers: IncomingHttpHeaders, upstream: Duplex): void {
    if (String(headers.upgrade).toLowerCase() !== "websocket") {
      upstream.destroy();
      this.#malformed(attempt, "the unit switched to another protocol");
      return;
    }
    this.endpointServed(attempt.endpoint);
    attempt.upgraded();
    this.status = 101;
    const { response, upgradeHead } = this.question;
    // From here on the client's socket is a tunnel's and not an answer's.
    disown(response);
    this.core.deadlines.remove(this);
    const { id } = attempt.endpoint.pool.unit;
    const { mark } = this.identity;
    this.core.tunnels.open(id, this.decision, mark, response, upstream, headers, upgradeHead!.take(), () => {
      attempt.finish("success");
      this.#settle();
    });
  }

  /** What the unit said cannot be passed on. */
  #malformed(attempt: Attempt, detail: string): void {
    attempt.abort("failure", "malformed");
    this.#attempt = undefined;
    this.endpointFailed(attempt.endpoint, true);
    this.#refuse("upstream-malformed", detail);
  }

  onFailure(attempt: Attempt, failure: AttemptFailure, detail: string): void {
    this.#attempt = undefined;
    if (failure !== "invalid") this.endpointFailed(attempt.endpoint, failure === "malformed");
    this.#lastDetail = detail;
    const cause = failure === "malformed" ? "reset" : failure;
    // The answer had begun: the client must see that it broke off, never a clean end.
    if (this.status !== 0) this.#abandonClient("upstream-reset");
    else if (cause === "invalid") this.#refuse("bad-request", detail);
    else if (this.#mayRetry(cause, attempt)) this.#retry(attempt, failure);
    else {
      this.#lastFailure = failure;
      this.#giveUp();
    }
  }

  #mayRetry(cause: RetryCause, attempt: Attempt): boolean {
    if (this.core.clock.now() >= this.latest || !mayRetry(this, attempt.endpoint, cause, attempt.sent))
      return false;
    this.retried = true;
    return true;
  }

  #retry(attempt: Attempt, failure: AttemptFailure | RetryCause): void {
    this.#attempt = undefined;
    this.#lastFailure = failure;
    this.failoverCause = failure;
    const { pool } = attempt.endpoint;
    const { unit } = pool;
    this.metrics.attempt(unit.name, failure);
    this.metrics.count(
      "tidegate_retried_total",
      retriedLabels(this.decision.route.name, unit.name, versionOf(this.decision, pool)),
    );
    const last = this.attempts >= this.decision.route.spec.retry.attempts;
    this.candidates.failed(attempt.endpoint, last, failure === "timeout");
    this.#advance();
  }

  #giveUp(): void {
    const type = rescue(this.#lastFailure, this.candidates.breakerOpen, this.decision.panic);
    this.#refuse(type, this.#lastDetail === "" ? undefined : this.#lastDetail);
  }

  /** Answers by the route's fallback where the way to a unit failed, else with a problem. */
  #refuse(type: RefusalType, detail: string | undefined): void {
    this.problem = type;
    this.#body?.abandon();
    const { request, response } = this.question;
    const degraded = this.fallback(type);
    this.fellBack = degraded !== undefined;
    this.status = answer(this.core, request, response, type, detail, degraded);
    this.#closing();
  }

  override onOverdue(now: number): void {
    const total = now >= this.latest;
    switch (this.phase) {
      case "queue":
        this.#turn!.onOverdue();
        return;
      case "body":
        this.#onBodyOverdue();
        return;
      case "connect":
      case "headers":
        this.#onAttemptOverdue(total);
        return;
      case "stream":
        if (this.#answer.awaitsBody) {
          this.#answer.flush();
          this.wait("stream", this.#timeout.idle);
          return;
        }
        // Either side stopped: the stream is cut, so that neither takes it for whole.
        this.#attempt?.abort(this.question.response.writableNeedDrain ? "neutral" : "failure", "timeout");
        this.#attempt = undefined;
        this.#abandonClient("upstream-timeout");
        return;
      case "closing":
        this.#answer.breakOff();
        return;
    }
  }

  #onBodyOverdue(): void {
    const attempt = this.#attempt;
    this.#attempt = undefined;
    // Who stopped: the unit that no longer reads, or the client that no longer sends?
    const unit = attempt !== undefined && this.#body!.isHeldBack;
    attempt?.abort(unit ? "failure" : "neutral", "timeout");
    if (unit) this.endpointFailed(attempt.endpoint, false);
    if (unit) this.#refuse("upstream-timeout", "the unit stopped reading the body");
    else this.#refuse("request-timeout", "the body stopped arriving");
  }

  #onAttemptOverdue(total: boolean): void {
    const attempt = this.#attempt!;
    const failure = attempt.sent ? "timeout" : "refused";
    attempt.abort("failure", failure === "timeout" ? failure : "connect-timeout");
    this.endpointFailed(attempt.endpoint, false);
    this.#lastDetail = attempt.sent ? "no answer in time" : "no connection in time";
    if (!total && this.#mayRetry(failure, attempt)) this.#retry(attempt, failure);
    else {
      this.#attempt = undefined;
      this.#lastFailure = "timeout";
      this.#giveUp();
    }
  }

  onBodyActivity(bytes: number): void {
    this.core.nursery.streamed(bytes);
    if (this.phase === "body" || this.phase === "stream") this.touch(this.#timeout.idle);
  }

  onBodyEnd(): void {
    this.#attempt?.beginWork();
    if (this.phase === "body" && this.#attempt?.sent === true) this.wait("headers", this.#timeout.headers);
  }

  onBodyFailure(failure: BodyFailure): void {
    if (failure === "aborted") return; // The response's close says so too.
    this.#attempt?.abort("neutral", "body-too-large");
    this.#attempt = undefined;
    if (this.status !== 0) this.#abandonClient("body-too-large");
    else this.#refuse("body-too-large", `the route takes ${this.decision.route.spec.maxBody} bytes`);
  }

  /** The answer cannot be completed: break the connection, as HTTP asks for a message that is not whole. */
  #abandonClient(problem: RefusalType): void {
    this.problem = problem;
    this.#answer.breakOff();
    this.#settle();
  }

  /** The answer is on its way out; the socket may still take a while, but not for ever. */
  #closing(): void {
    this.wait("closing", this.#timeout.idle);
    this.#settle();
  }

  /** @internal The response's `close`: it was sent whole, or the client left. */
  onClientClose(): void {
    this.core.deadlines.remove(this);
    if (this.isSettled) return;
    this.#leave();
    this.#body?.abandon();
    this.problem = "client-closed";
    this.status = 499;
    this.#settle();
  }

  /** A fence does not wait for it any longer: the unit is asked for nothing more, and keeps no connection of it. */
  cutOff(): void {
    const isSent = this.#attempt === undefined ? this.attempts > 0 : this.attempts > 1 || this.#attempt.sent;
    this.#leave();
    if (this.status !== 0) this.#abandonClient("fence-cut-off");
    else if (isSent) this.#refuse("fence-cut-off", "the unit may have done what was asked");
    else this.#refuse("fence", "the user's slot moves, and no unit was given it in time");
  }

  #leave(): void {
    this.#turn?.leave();
    this.#turn = undefined;
    this.#attempt?.abort("neutral", "aborted");
    this.#attempt = undefined;
  }

  #settle(): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.#recorder?.abandon();
    this.budget.end(this.retried);
    settle(this);
  }
}
