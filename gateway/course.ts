/**
 * Corrects course: a unit's guard refused a request (421), so nothing of it was done, and it may go where it belongs.
 *
 * A table that came meanwhile is asked at once. Otherwise the request waits, as held writes do, for the table that sends it
 * elsewhere; one that has not come in time is tried as it is, since the guard may have been behind. Once for each request.
 */
import { decide } from "../model/decide.ts";
import { isWrite } from "../model/fences.ts";
import { admit } from "./admit.ts";
import type { Attempt } from "./attempt.ts";
import type { Core } from "./core.ts";
import { Exchange } from "./exchange.ts";
import { Phased } from "./phased.ts";
import type { Question } from "./question.ts";
import { answer } from "./refuse.ts";
import { disown, own, type ResponseOwner } from "./response-owner.ts";
import { settleRefused } from "./settle.ts";
import { GUARD_CAUSES, GUARD_FIELD, type GuardCause } from "./unit-guard-refusal.ts";

/** Milliseconds that a request waits for another table. */
const WAIT = 2_000;
/** Requests that wait at once in one thread; more are refused at once. */
const MOST_WAITING = 4_096;

/** What a guard refused. */
interface Refused {
  readonly question: Question;
  /** Its attempts so far. */
  readonly tried: readonly Attempt[];
  readonly unit: string;
  readonly cause: GuardCause;
}

/** Of an answer with status 421; undefined: it is an application's own. */
export function guardCauseOf(headers: Readonly<Record<string, unknown>>): GuardCause | undefined {
  const said = headers[GUARD_FIELD];
  return GUARD_CAUSES.find((cause) => cause === said);
}

export class Course {
  readonly #core: Core;
  readonly #waiting = new Set<Astray>();

  constructor(core: Core) {
    this.#core = core;
  }

  /**
   * Takes a request over from its exchange. Who stresses a unit has to see what it says: such a request never comes here.
   *
   * @returns why it cannot be corrected, for the client; undefined: it was taken
   */
  take(exchange: Exchange, unit: string, cause: GuardCause): string | undefined {
    const { question, tried, metrics } = exchange;
    const refused = { question, tried, unit, cause };
    metrics.count("tidegate_misdirected_total", `unit="${unit}",cause="${cause}"`);
    const obstacle = this.#obstacle(refused);
    if (obstacle !== undefined) return obstacle;
    metrics.attempt(unit, "misdirected");
    exchange.letGo();
    this.#correct(refused);
    return undefined;
  }

  #obstacle({ question, unit, cause }: Refused): string | undefined {
    const refused = `unit ${unit} refused it, and did nothing`;
    if (question.corrected !== undefined) return `${refused}, also when it was sent again`;
    if (question.body?.replayable === false) return `${refused}; its body is too large to be sent again`;
    // Pools and guards that contradict each other are nothing that a moment heals.
    if (cause === "unit" && this.#core.table === question.table) {
      return `${refused}: its guard says that it is another unit`;
    }
    if (this.#waiting.size >= MOST_WAITING) return `${refused}; too many wait for another table`;
    return undefined;
  }

  #correct(refused: Refused): void {
    refused.question.body?.park();
    const astray = new Astray(this.#core, refused, WAIT, {
      left: (one) => this.#waiting.delete(one),
      overdue: (one) => this.#go(one, true),
    });
    if (this.#core.table !== refused.question.table && this.#go(astray, false)) return;
    this.#waiting.add(astray);
    astray.begin();
  }

  /** Another table is served. */
  swapped(): void {
    for (const astray of [...this.#waiting]) this.#go(astray, false);
  }

  /** @param anyway also where nothing has changed · @returns false where it waits on */
  #go(astray: Astray, anyway: boolean): boolean {
    try {
      return this.#decided(astray, anyway);
    } catch (error) {
      // A defect of ours costs its own request.
      const { request, response } = astray.refused.question;
      this.#core.onError(error as Error);
      if (response.headersSent) response.destroy();
      else answer(this.#core, request, response, "internal", undefined);
      return true;
    }
  }

  #decided(astray: Astray, anyway: boolean): boolean {
    const core = this.#core;
    const { table } = core;
    const { question, unit, tried } = astray.refused;
    const { identity, request, response, upgradeHead, body } = question;
    const decision = decide(table, core.live, identity);
    if (decision.refused) {
      astray.end();
      admit(core, decision, identity, request, response);
      return true;
    }
    const hold = core.fence.holdOf(decision, isWrite(identity.method, upgradeHead !== undefined));
    if (hold > 0) {
      astray.end();
      // The table that lifts the fence need not be the one that sends it elsewhere: then it waits on, once.
      const proceed = (): void => void (anyway ? this.#go(astray, true) : this.#correct(astray.refused));
      core.fence.hold({ request, response, upgradeHead, identity, decision, proceed }, hold);
      return true;
    }
    const target = decision.candidates[decision.first]!.unit.name;
    // A newer table alone is no reason: a move of several batches makes one for each, and who was away hears them all.
    if (!anyway && target === unit) return false;
    astray.end();
    if (body?.replayable === false) {
      const what = "its body grew too large to be sent again";
      const status = answer(core, request, response, "misdirected", what);
      settleRefused(core, request, status, "misdirected", identity, decision.route);
    } else new Exchange({ ...question, table, decision, corrected: tried }).begin();
    return true;
  }
}

/** A request that waits for the table that knows better: no unit does anything for it. */
class Astray extends Phased<"astray"> implements ResponseOwner {
  readonly refused: Refused;
  readonly #core: Core;
  readonly #milliseconds: number;
  readonly #hears: { left(one: Astray): void; overdue(one: Astray): void };

  constructor(
    core: Core,
    refused: Refused,
    milliseconds: number,
    hears: { left(one: Astray): void; overdue(one: Astray): void },
  ) {
    const { identity, decision } = refused.question;
    const { total } = decision.route.spec.timeout;
    super(core.deadlines, "astray", total === 0 ? Number.POSITIVE_INFINITY : identity.startedAt + total);
    this.refused = refused;
    this.#core = core;
    this.#milliseconds = milliseconds;
    this.#hears = hears;
  }

  begin(): void {
    this.#core.deadlines.add(this);
    own(this.refused.question.response, this);
    this.wait("astray", this.#milliseconds);
  }

  /** It waits no longer; once more does nothing. */
  end(): void {
    if (!this.listed) return;
    this.#hears.left(this);
    this.#core.deadlines.remove(this);
    disown(this.refused.question.response);
  }

  /** @internal */
  override onOverdue(): void {
    this.#hears.overdue(this);
  }

  /** @internal */
  onClientClose(): void {
    this.end();
    const { request, identity, decision, body } = this.refused.question;
    body?.abandon();
    settleRefused(this.#core, request, 499, "client-closed", identity, decision.route);
  }
}
