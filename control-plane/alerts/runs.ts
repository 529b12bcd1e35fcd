/**
 * Plans that an alert runs by itself: where the file says so, and the plan's preconditions, what runs already, and every safety
 * rule agree beforehand. That it runs is written in the commit that begins it, so that no crash runs it twice.
 */
import type { Alert, PlanRun } from "../../model/alerts/alert.ts";
import type { Violation } from "../../model/safety-check.ts";
import type { Desk } from "../desk.ts";
import { type Actor, type Draft, needed } from "../draft.ts";
import { Refused } from "../refused.ts";
import { dryRun } from "../runbook/dry-run.ts";
import type { Engine } from "../runbook/engine.ts";
import type { Caller } from "../runbook/hooks.ts";
import { checkAlone, checkRequired, executionOf, prepare } from "../runbook/preparation.ts";
import type { Sight } from "../runbook/sight.ts";
import type { Deed } from "../safety-gate.ts";
import { Unavailable } from "../store/store.ts";
import type { Book } from "./book.ts";
import type { Quiet } from "./notifying.ts";

export interface RunsOptions {
  readonly book: Book;
  readonly desk: Desk;
  readonly engine: Engine;
  readonly sight: Sight;
  readonly hooks: Caller;
  readonly violations: (draft: Draft, deed: Deed) => readonly Violation[];
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** A fleet where everything fires at once is nobody's to change without a person: so many plans in so long (ms). */
const MOST = 3;
const WITHIN = 600_000;
/** What was not tried after so long (ms) was for another moment. */
const STALE = 60_000;

export class Runs {
  readonly #options: RunsOptions;

  constructor(options: RunsOptions) {
    this.#options = options;
  }

  /** Tries every plan that is wanted. */
  async look(quiet: Quiet): Promise<void> {
    const { book, now } = this.#options;
    for (const alert of [...book.table("alert").values()]) {
      if (alert.run?.state !== "wanted") continue;
      const refused = this.#refusal(alert, quiet);
      if (refused === undefined) await this.#run(alert);
      else await this.#note(alert, { state: "refused", at: now(), says: refused });
    }
  }

  #refusal({ id, phase, run }: Alert, { silenced, inhibited }: Quiet): string | undefined {
    const { book, now } = this.#options;
    if (phase.state !== "firing") return "it was over before it was tried";
    if (now() - run!.at > STALE) return "it was not tried in a minute";
    if (silenced.has(id)) return "the alert is silenced";
    if (inhibited.has(id)) return `the alert is quiet for ${inhibited.get(id)!.rule}`;
    const recent = [...book.table("alert").values()].flatMap((other) =>
      [other.run, other.ran].flatMap((one) =>
        one?.state === "started" && now() - one.at < WITHIN ? [{ ...one, of: other.id }] : [],
      ),
    );
    const same = recent.find(({ of }) => of === id);
    if (same !== undefined) return `${same.execution} was run for it minutes ago`;
    if (recent.length >= MOST) return `${MOST} plans were run by themselves in the last minutes`;
    return undefined;
  }

  async #run(alert: Alert): Promise<void> {
    const { book, now } = this.#options;
    try {
      await book.alone(() => this.#start(alert));
    } catch (error) {
      if (error instanceof Unavailable) return book.doubt();
      if (!(error instanceof Refused)) throw error;
      // Whether it began is in the store: it is read again before it is tried again.
      if (["not-leader", "store"].includes(error.kind)) return book.doubt();
      await this.#note(alert, { state: "refused", at: now(), says: error.message.slice(0, 500) });
    }
  }

  /** @throws Refused */
  async #start({ id: wanted }: Alert): Promise<void> {
    const { book, desk, engine, sight, hooks, now } = this.#options;
    const alert = book.table("alert").get(wanted);
    if (alert?.run?.state !== "wanted") return;
    const { plan, rule, summary } = alert;
    const standing = needed(desk.standing);
    const { config } = standing;
    const actor: Actor = { name: `alert:${rule}`, from: "", overrides: [] };
    const reason = `alert ${alert.id}: ${summary}`.slice(0, 500);
    const request = { plan: plan!.name, values: plan!.values, reason, supersedes: undefined };
    const practice = { provenAt: await engine.provenAt(plan!.name), now: now() };
    const prepared = prepare(request, config, hooks, practice);
    checkRequired(prepared, config, sight);
    this.#checkSafety(executionOf("ex-0", prepared, request, actor, now(), undefined), standing, actor);
    let next = alert;
    await engine.start(
      (id, live) => {
        checkAlone(prepared, config, live, undefined);
        return executionOf(id, prepared, request, actor, now(), undefined);
      },
      ({ id }) => {
        next = { ...alert, run: { state: "started", at: now(), execution: id } };
        return [{ kind: "alert", id: alert.id, body: JSON.stringify(next) }];
      },
    );
    book.table("alert").set(alert.id, next);
  }

  /** What a rule would refuse in the middle is not begun. @throws Refused */
  #checkSafety(
    execution: ReturnType<typeof executionOf>,
    standing: ReturnType<typeof needed>,
    actor: Actor,
  ): void {
    const { sight, violations, now } = this.#options;
    const { config } = standing;
    const { steps } = dryRun(execution, standing, actor, {
      violations,
      load: sight.load() ?? new Map(),
      unhealthy: sight.unhealthy(config),
      writes: 0.5,
      now: now(),
    });
    for (const { path, problem, violations: broken } of steps) {
      if (problem !== undefined) throw new Refused("conflict", `step ${path}: ${problem}`);
      const [first] = broken;
      if (first !== undefined) throw new Refused("safety", `step ${path}: ${first.rule}: ${first.message}`);
    }
  }

  async #note({ id, rule, plan }: Alert, run: PlanRun): Promise<void> {
    const { book } = this.#options;
    await book.change((changes) => {
      const current = book.table("alert").get(id);
      if (current?.run?.state !== "wanted") return;
      changes.put("alert", id, { ...current, run });
      const body = JSON.stringify({ alert: id, rule, plan: plan?.name, run: run.state, says: run.says });
      changes.events.push({ at: run.at, type: "alert", body });
    });
  }
}
