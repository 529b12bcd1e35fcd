/** A write that waits while its slot moves: nothing of its body was read, nothing was counted, and no unit knows of it. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Decision } from "../model/decide.ts";
import { isWrite } from "../model/fences.ts";
import type { Core } from "./core.ts";
import type { Identity } from "./identify.ts";
import { Phased } from "./phased.ts";
import { answer } from "./refuse.ts";
import { disown, own, type ResponseOwner } from "./response-owner.ts";
import { settleRefused } from "./settle.ts";
import { metricsOf } from "./stress.ts";
import type { UpgradeHead } from "./upgrade-head.ts";

export interface Held {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly upgradeHead: UpgradeHead | undefined;
  readonly identity: Identity;
  readonly decision: Decision;
  /** Goes on with it, from the decision on. */
  readonly proceed: (held: Held) => void;
}

export class HeldWrite extends Phased<"held"> implements ResponseOwner {
  readonly held: Held;
  readonly #core: Core;
  readonly #milliseconds: number;
  readonly #leave: (write: HeldWrite) => void;

  /** @param leave called once, when it waits no longer */
  constructor(core: Core, held: Held, milliseconds: number, leave: (write: HeldWrite) => void) {
    const { total } = held.decision.route.spec.timeout;
    super(core.deadlines, "held", total === 0 ? Number.POSITIVE_INFINITY : held.identity.startedAt + total);
    this.held = held;
    this.#core = core;
    this.#milliseconds = milliseconds;
    this.#leave = leave;
  }

  get isWrite(): boolean {
    return isWrite(this.held.identity.method, this.held.upgradeHead !== undefined);
  }

  begin(): void {
    this.#core.deadlines.add(this);
    own(this.held.response, this);
    this.wait("held", this.#milliseconds);
  }

  release(): void {
    this.#end("released");
    this.held.proceed(this.held);
  }

  refuse(detail: string): void {
    this.#end("refused");
    const { request, response, identity, decision } = this.held;
    const status = answer(this.#core, request, response, "fence", detail);
    settleRefused(this.#core, request, status, "fence", identity, decision.route);
  }

  /** @internal */
  override onOverdue(): void {
    this.refuse(`the user's slot moves, and has not arrived in ${this.#milliseconds} ms`);
  }

  /** @internal */
  onClientClose(): void {
    this.#end("aborted");
    const { request, identity, decision } = this.held;
    settleRefused(this.#core, request, 499, "client-closed", identity, decision.route);
  }

  #end(outcome: "released" | "refused" | "aborted"): void {
    this.#leave(this);
    this.#core.deadlines.remove(this);
    disown(this.held.response);
    metricsOf(this.#core, this.held.identity).count("tidegate_fenced_total", `outcome="${outcome}"`);
  }
}
