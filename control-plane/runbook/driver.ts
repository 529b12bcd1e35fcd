/**
 * Drives one execution: looks at what is due, and takes the next small step of each.
 *
 * Every step of a step is one commit, and is decided from what is stored and what is seen, so that it goes on from any of
 * them after a crash. What lays overlays is written together with them; what calls out stores that it will, first.
 */
import { describeEvaluation } from "../../model/figure-expression.ts";
import { type Act, isAct, type Leaf, type Step } from "../../model/plan-step.ts";
import { promoted } from "../../model/rollout/promotion.ts";
import { type Base, decodeBase } from "../base.ts";
import type { Standing } from "../draft.ts";
import type { Calls } from "./calls.ts";
import type { Window } from "../fleet-figures.ts";
import type { Gateways } from "../publish/gateways.ts";
import type { Roster } from "../publish/roster.ts";
import { Refused } from "../refused.ts";
import { type Execution, type StepRun, type Transfer, withEntry, withRun } from "./execution.ts";
import { failing, owning } from "./owning.ts";
import { dueSteps, isMidTransfer } from "./program.ts";
import { leftOut, setFor } from "../rehearsals/on-traffic.ts";
import type { Progress, Rollouts } from "../rollouts/rolling.ts";
import { backOf } from "../rollouts/taking-back.ts";
import type { Sight } from "./sight.ts";
import type { Timers } from "./timers.ts";
import { FENCE_TIMEOUT, type Moving, strangers, transfersOf, unfenced } from "./transfers.ts";
import { Transferring } from "./transferring.ts";
import type { Writer } from "./writer.ts";

/** After a refusal of the safety rules a rollout asks again after so long (ms). */
const AGAIN = 5_000;
/** Gateways that have not acknowledged an act by then (ms) fail it. */
export const CONVERGENCE_TIMEOUT = 30_000;

export interface DriverOptions {
  readonly gateways: Gateways;
  readonly sight: Sight;
  readonly calls: Calls;
  readonly rollouts: Rollouts;
  /** Makes a base quick to read. */
  readonly read: (base: Base) => Promise<unknown>;
  readonly blob: (digest: string) => Promise<string | undefined>;
  readonly timers: Timers;
  /** Every gateway that may serve. */
  readonly roster: Pick<Roster, "names">;
  /** Milliseconds that this control plane has led. */
  readonly ledFor: () => number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

type Changed = Partial<Omit<StepRun, "since">>;

export class Driver {
  readonly #options: DriverOptions;
  readonly #transferring: Transferring;

  constructor(options: DriverOptions) {
    this.#options = options;
    this.#transferring = new Transferring(options);
  }

  /** @returns whether anything was written: then more may be due at once */
  async drive(writer: Writer): Promise<boolean> {
    const { execution } = writer;
    const isRunning = execution.state === "running";
    const { leaves, ifs } = dueSteps(execution.steps, execution.runs);
    if (isRunning && leaves[0] !== undefined && this.#isTooLate(execution)) {
      return await this.#end(writer, leaves[0], "failed", "the rollout's deadline has passed");
    }
    for (const step of isRunning ? ifs : []) if (await this.#decide(writer, step)) return true;
    for (const leaf of leaves) {
      // Whoever pauses or aborts does not leave writes held: a batch that is fenced goes on to its end.
      if (!isRunning && !isMidTransfer(execution.runs[leaf.path])) continue;
      if (await this.#drive(writer, leaf)) return true;
    }
    return false;
  }

  async #decide(writer: Writer, step: Extract<Step, { kind: "if" }>): Promise<boolean> {
    const { execution, standing } = writer;
    const window = step.window as Window;
    const seen = this.#options.sight.evaluate(step.condition, window, 1, standing.config, execution);
    const branch = seen.holds === true ? "then" : "else";
    const at = this.#options.now();
    const says = `${branch}: ${describeEvaluation(seen)}`;
    await writer.save(
      this.#noted(execution, step, { state: "running", since: at, branch, says }, says, standing),
    );
    return true;
  }

  async #drive(writer: Writer, leaf: Leaf): Promise<boolean> {
    const { execution } = writer;
    const unfit = execution.runs[leaf.path] === undefined ? leftOut(execution, leaf) : undefined;
    if (unfit !== undefined) return await this.#end(writer, leaf, "done", unfit, { leftOut: true });
    try {
      if (isAct(leaf)) return await this.#act(writer, leaf);
      return await this.#control(writer, leaf);
    } catch (error) {
      if (!(error instanceof Refused) || ["conflict", "not-leader", "store"].includes(error.kind))
        throw error;
      // A rollout has time: a freeze ends, a unit comes back.
      if (
        (leaf.kind === "canary" || leaf.kind === "stage" || leaf.kind === "promote") &&
        error.kind === "safety"
      )
        return await this.#holdOff(writer, leaf, error);
      // A rule, a conflict with another's overlay, something that is not there any more.
      return await this.#end(writer, leaf, "failed", error.message);
    }
  }

  async #control(writer: Writer, leaf: Exclude<Leaf, Act>): Promise<boolean> {
    const { execution, standing } = writer;
    const run = execution.runs[leaf.path];
    if (run === undefined) return await this.#begin(writer, leaf, {});
    const isLate = (milliseconds: number): boolean => this.#isOver(execution, leaf, run.since, milliseconds);
    switch (leaf.kind) {
      case "wait":
        return isLate(leaf.milliseconds) && (await this.#end(writer, leaf, "done", undefined));
      case "notify":
        return await this.#end(writer, leaf, "done", leaf.text);
      case "approve": {
        const given = run.approvals?.length ?? 0;
        if (given >= leaf.count) return await this.#end(writer, leaf, "done", `${given} agreed`);
        if (isLate(leaf.timeout)) return await this.#end(writer, leaf, "failed", "nobody agreed in time");
        return await this.#say(writer, leaf, `waits for ${leaf.count - given} × ${leaf.role}`);
      }
      case "gate": {
        const { condition, samples } = leaf;
        const window = leaf.window as Window;
        const seen = this.#options.sight.evaluate(condition, window, samples, standing.config, execution);
        const says = describeEvaluation(seen);
        if (seen.holds === true) {
          const since = run.holdsSince ?? this.#options.now();
          const holds = leaf.holds === 0 || this.#isOver(execution, leaf, since, leaf.holds, "holds");
          if (holds) return await this.#end(writer, leaf, "done", says);
          if (run.holdsSince === undefined) return await this.#update(writer, leaf, { holdsSince: since });
        } else if (run.holdsSince !== undefined) {
          const { holdsSince: _, ...rest } = run;
          await writer.save(withRun(execution, leaf.path, rest));
          return true;
        }
        if (isLate(leaf.timeout)) return await this.#end(writer, leaf, "failed", `not in time: ${says}`);
        return false;
      }
      case "hook":
        return await this.#hook(writer, leaf, run);
      case "ready":
      case "bake":
      case "quiet":
        return await this.#become(
          writer,
          leaf,
          this.#options.rollouts.look(execution, leaf, run, standing.config),
        );
      case "promote":
        return await this.#promote(writer, leaf, run);
    }
  }

  async #become(writer: Writer, leaf: Leaf, progress: Progress): Promise<boolean> {
    if ("ends" in progress)
      return await this.#end(writer, leaf, progress.ends, progress.says, progress.more ?? {});
    if ("becomes" in progress) {
      await this.#update(writer, leaf, progress.becomes);
      return false;
    }
    return await this.#say(writer, leaf, progress.waits);
  }

  #isTooLate({ id, at, rollout }: Execution): boolean {
    return (
      rollout !== undefined && this.#options.timers.isOver(`${id} deadline`, at, rollout.written.deadline)
    );
  }

  /** Tries again in a while. */
  async #holdOff(writer: Writer, leaf: Leaf, { message }: Refused): Promise<boolean> {
    const says = `waits: ${message}`;
    const run = writer.execution.runs[leaf.path];
    const next: StepRun = { state: "running", since: this.#options.now(), says };
    await writer.save(
      run?.says === says
        ? withRun(writer.execution, leaf.path, next)
        : this.#noted(writer.execution, leaf, next, says, writer.standing),
    );
    return false;
  }

  /** In one commit the base says what the rollout came to, and the rollout says nothing any more. */
  async #promote(writer: Writer, leaf: Extract<Leaf, { kind: "promote" }>, run: StepRun): Promise<boolean> {
    const { execution, standing } = writer;
    if (run.says !== undefined && !this.#isOver(execution, leaf, run.since, AGAIN, "again")) return false;
    const base = await this.#promotedBase(execution, leaf, standing);
    if (typeof base === "string") return await this.#end(writer, leaf, "failed", base);
    await this.#options.read(base);
    const remove = standing.overlays.filter(({ id }) => execution.overlays.includes(id)).map(({ id }) => id);
    await writer.change({ lay: [], remove, base }, leaf.title, (made) => {
      const own = owning(execution, [], made.removed, standing.overlays);
      const what =
        leaf.base === undefined ? "fleet.yaml was changed; commit it where it is kept" : "they are the base";
      const says = `revision ${made.revision.number}: ${what}`;
      const until = this.#options.now();
      return this.#noted(own, leaf, { state: "done", since: run.since, until, says }, says, standing);
    });
    return true;
  }

  /** @returns why it cannot be, as a text */
  async #promotedBase(
    { rollout }: Execution,
    { base: digest, service, units }: Extract<Leaf, { kind: "promote" }>,
    { base, revision }: Standing,
  ): Promise<Base | string> {
    if (digest === undefined) {
      const next = promoted(base.get("fleet.yaml") ?? "", service!, units);
      return "problem" in next ? next.problem : new Map([...base, ["fleet.yaml", next.text]]);
    }
    if (revision.base !== rollout?.base) {
      return "the base was changed meanwhile; abort, apply both changes together, and begin again";
    }
    const files = await this.#options.blob(digest);
    return files === undefined ? "the files that it brings are lost" : decodeBase(files);
  }

  async #hook(writer: Writer, leaf: Extract<Leaf, { kind: "hook" }>, run: StepRun): Promise<boolean> {
    const { call } = leaf;
    const { execution } = writer;
    const attempts = run.attempts ?? 0;
    if (attempts === 0) return await this.#update(writer, leaf, { attempts: 1 });
    // Whoever takes over makes the same call again, under the same key: it may have been answered to nobody.
    const key = `${execution.id}/${leaf.path}/${run.since}/${attempts}`;
    const about = {
      execution: execution.id,
      plan: execution.plan.name,
      step: leaf.path,
      values: execution.values,
    };
    const result = this.#options.calls.result(key, call, about);
    if (result === undefined) return false;
    if (result.ok) {
      return await this.#end(writer, leaf, "done", `answered ${result.status}`, {
        answer: result.answer ?? null,
      });
    }
    if (attempts > call.retries) {
      const state = leaf.mayFail === true ? "done" : "failed";
      return await this.#end(writer, leaf, state, result.reason, { answer: null });
    }
    return await this.#update(writer, leaf, { attempts: attempts + 1, says: result.reason });
  }

  async #act(writer: Writer, leaf: Leaf & Act): Promise<boolean> {
    const { execution, standing } = writer;
    const run = execution.runs[leaf.path];
    const isMove = leaf.kind === "evacuate" || leaf.kind === "move";
    if (isMove && execution.rehearsal === undefined) return await this.#move(writer, leaf, run);
    if (run !== undefined && run.revision === undefined && !this.#isOver(execution, leaf, run.since, AGAIN))
      return false;
    if (run?.revision === undefined) {
      const set = setFor(leaf, execution, standing);
      if (set.lay.length + set.remove.length === 0)
        return await this.#end(writer, leaf, "done", "nothing to do");
      const before = standing.overlays;
      await writer.change(set, leaf.title, (made) => {
        const since = this.#options.now();
        const next = owning(execution, made.laid, made.removed, before);
        const began: StepRun = { state: "running", since, revision: made.revision.number };
        return this.#noted(next, leaf, began, `revision ${made.revision.number}`, standing);
      });
      return true;
    }
    const { gateways } = this.#options;
    const revision = run.revision ?? 0;
    const { behind, lost, refused } =
      leaf.kind === "fence"
        ? unfenced(gateways, revision, execution.without)
        : { lost: [] as string[], ...gateways.convergence(revision) };
    const left = [...behind, ...lost, ...refused].filter((name) => !execution.without.includes(name));
    if (left.length === 0 && (leaf.kind === "fence" || this.#options.ledFor() < FENCE_TIMEOUT)) {
      // Those that only the leader before knew come in a moment.
      left.push(...(await strangers(gateways, this.#options.roster, execution.without)));
    }
    if (left.length > 0) {
      const says = `${left.slice(0, 5).join(", ")} ${left.length === 1 ? "has" : "have"} not acknowledged revision ${revision}`;
      if (this.#isOver(execution, leaf, run.since, CONVERGENCE_TIMEOUT)) {
        const way = `skip the step, or go on: tidegate plan resume ${execution.id} --without ${left[0]}`;
        return await this.#end(writer, leaf, "failed", `${says}; ${way}`);
      }
      return await this.#say(writer, leaf, says);
    }
    const ramp = leaf.kind === "drain" ? leaf.ramp : 0;
    if (!this.#isOver(execution, leaf, run.since, ramp, "ramp")) return false;
    return await this.#end(writer, leaf, "done", undefined);
  }

  async #move(writer: Writer, leaf: Leaf & Moving, run: StepRun | undefined): Promise<boolean> {
    const { execution, standing } = writer;
    if (run === undefined) {
      const transfers = transfersOf(leaf, standing.config);
      if (transfers.length === 0) return await this.#end(writer, leaf, "done", "nothing to move");
      return await this.#begin(writer, leaf, { transfers });
    }
    const transfers = run.transfers ?? [];
    const i = transfers.findIndex(({ phase }) => phase !== "done");
    if (i === -1) return await this.#end(writer, leaf, "done", `${transfers.length} batches moved`);
    const last = transfers[i - 1];
    if (last?.since !== undefined && !this.#isOver(execution, leaf, last.since, leaf.pause, `pause ${i}`))
      return false;
    const step = await this.#transferring.step(writer, transfers[i]!, leaf, {
      key: `${execution.id}/${leaf.path}/${i}`,
      title: leaf.title,
      next: (current, transfer: Transfer) => {
        const all = (current.runs[leaf.path]?.transfers ?? []).map((one, at) => (at === i ? transfer : one));
        const now: StepRun = {
          ...current.runs[leaf.path]!,
          transfers: all,
          says: `batch ${i + 1} of ${all.length}`,
        };
        return withRun(current, leaf.path, now);
      },
    });
    if (typeof step === "boolean") return step;
    return await this.#end(writer, leaf, "failed", step.failed);
  }

  /** Takes back one thing of an execution that is reverted. @returns false when nothing is left, or it has to wait */
  async revert(writer: Writer): Promise<boolean | "done"> {
    return await this.#transferring.revert(writer);
  }

  #isOver(execution: Execution, leaf: Leaf, since: number, milliseconds: number, what = "late"): boolean {
    return this.#options.timers.isOver(`${execution.id} ${leaf.path} ${what}`, since, milliseconds);
  }

  async #begin(writer: Writer, leaf: Leaf, more: Changed): Promise<boolean> {
    const run: StepRun = { state: "running", since: this.#options.now(), ...more };
    await writer.save(this.#noted(writer.execution, leaf, run, "began", writer.standing));
    return true;
  }

  async #update(writer: Writer, leaf: Leaf, more: Changed): Promise<boolean> {
    await writer.save(
      withRun(writer.execution, leaf.path, { ...writer.execution.runs[leaf.path]!, ...more }),
    );
    return true;
  }

  /** What it waits for, written once. @returns false: nothing has come on */
  async #say(writer: Writer, leaf: Leaf, says: string): Promise<boolean> {
    if (writer.execution.runs[leaf.path]?.says !== says) await this.#update(writer, leaf, { says });
    return false;
  }

  async #end(
    writer: Writer,
    leaf: Leaf,
    state: "done" | "failed",
    says: string | undefined,
    more: Changed = {},
  ): Promise<boolean> {
    const now = this.#options.now();
    const { says: _, ...before } = writer.execution.runs[leaf.path] ?? { since: now };
    const run: StepRun = { ...before, ...more, state, until: now, ...(says === undefined ? {} : { says }) };
    const what = says === undefined ? state : `${state}: ${says}`;
    const noted = this.#noted(writer.execution, leaf, run, what, writer.standing);
    if (state === "done") await writer.save(noted);
    else await this.#fail(writer, leaf, failing(noted, `step ${leaf.path} failed: ${says}`));
    return true;
  }

  /** A rollout's unit is taken back in the commit that says that it failed. */
  async #fail(writer: Writer, leaf: Leaf, failed: Execution): Promise<void> {
    const { standing } = writer;
    const back = backOf(failed, leaf, standing, this.#options.rollouts);
    if (back.dead !== undefined) {
      const says = `${failed.says}; stable of ${back.dead} is dead, so its users stay on the canary`;
      await writer.save({ ...failed, state: "held", says });
      return;
    }
    if (back.remove.length === 0) {
      await writer.save(failed);
      return;
    }
    const run: StepRun = { ...failed.runs[leaf.path]!, takenBack: true };
    await writer.change({ lay: [], remove: back.remove }, failed.says ?? "", (made) =>
      owning(withRun(failed, leaf.path, run), [], made.removed, standing.overlays),
    );
  }

  #noted(execution: Execution, step: Step, run: StepRun, what: string, { config }: Standing): Execution {
    const entry = { at: this.#options.now(), by: "tidegate", step: step.path, what };
    return withEntry(withRun(execution, step.path, run), {
      ...entry,
      figures: this.#options.sight.snapshot(config),
    });
  }
}
