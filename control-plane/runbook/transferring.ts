/** Takes a transfer through its phases, there and back. Decides from what is stored and seen, one commit at a time. */
import { eachStep } from "../../model/plan-step.ts";
import type { Overlay } from "../../model/overlay.ts";
import { draftOverlays, type Standing } from "../draft.ts";
import { Refused } from "../refused.ts";
import type { DriverOptions } from "./driver.ts";
import { type Execution, ownerOf, type Transfer, withEntry } from "./execution.ts";
import { owning } from "./owning.ts";
import { FENCE_TIMEOUT, fenceOf, type Manner, request, strangers, switchOf, unfenced } from "./transfers.ts";
import { deadUnit } from "../rollouts/taking-back.ts";
import type { Writer } from "./writer.ts";

/** How a transfer is written into its execution. */
export interface TransferPlace {
  /** Of calls, one for each try. */
  readonly key: string;
  readonly title: string;
  readonly next: (execution: Execution, transfer: Transfer) => Execution;
}

const BACK: Manner = { hold: 2_000, catchUp: undefined };

export class Transferring {
  readonly #options: DriverOptions;

  constructor(options: DriverOptions) {
    this.#options = options;
  }

  /** @returns whether anything was written, or why it failed: the fence is lifted by then */
  async step(
    writer: Writer,
    transfer: Transfer,
    manner: Manner,
    place: TransferPlace,
  ): Promise<boolean | { readonly failed: string }> {
    const { execution, standing } = writer;
    const { reason } = execution;
    const isFenced = standing.overlays.some(({ id }) => id === transfer.fence);
    if ((transfer.phase === "fenced" || transfer.phase === "data") && !isFenced) {
      return await this.#cancel(writer, transfer, place, "its fence was taken away");
    }
    switch (transfer.phase) {
      case "idle":
        // What could not be switched is not fenced. @throws Refused
        draftOverlays(standing, switchOf(transfer, ownOf(execution, standing), reason), "", 0);
        await this.#change(
          writer,
          { lay: [request(fenceOf(transfer, manner.hold), reason)], remove: [] },
          place,
          (made) => ({
            ...transfer,
            phase: "fenced",
            fence: made.laid[0]!.id,
            revision: made.revision.number,
            since: this.#options.now(),
          }),
        );
        return true;
      case "fenced": {
        const { behind, lost, refused } = unfenced(
          this.#options.gateways,
          transfer.revision!,
          execution.without,
        );
        const { gateways, roster } = this.#options;
        // Who is not known here may go on as before, and who has just begun to lead knows few.
        if (lost.length + refused.length + behind.length === 0) {
          lost.push(...(await strangers(gateways, roster, execution.without)));
        }
        const left = [...lost, ...refused, ...behind];
        if (left.length === 0) {
          if (manner.catchUp === undefined) return await this.#switch(writer, transfer, reason, place);
          await writer.save(
            place.next(execution, { ...transfer, phase: "data", since: this.#options.now() }),
          );
          return true;
        }
        const timeout = Math.max(manner.hold, FENCE_TIMEOUT);
        if (!this.#isOver(place, transfer, timeout) || this.#options.ledFor() < timeout) return false;
        const names = left.slice(0, 5).join(", ");
        return await this.#cancel(
          writer,
          transfer,
          place,
          lost.length > 0
            ? `${names} cannot be reached, and may still send writes as before: bring it back, or decide to go on ` +
                `without it: tidegate plan resume ${execution.id} --without ${left[0]}`
            : `${names} did not acknowledge the fence in ${timeout / 1000} s; writes go on where they were`,
        );
      }
      case "data": {
        const { slots, keys, unit, back } = transfer;
        const about = {
          execution: execution.id,
          plan: execution.plan.name,
          ask: "is the data of these slots where they go?",
          transfer: {
            slots,
            keys,
            unit,
            back: back !== undefined,
            epoch: standing.config.fleet.placement.epoch,
            revision: transfer.revision,
          },
        };
        const result = this.#options.calls.result(`${place.key}/${transfer.since}`, manner.catchUp!, about);
        if (result === undefined) return false;
        if (!result.ok)
          return await this.#cancel(writer, transfer, place, `catch-up failed: ${result.reason}`);
        // 202: not yet. It is asked again until its time is over.
        if (result.status !== 202) return await this.#switch(writer, transfer, reason, place);
        if (!this.#isOver(place, transfer, manner.catchUp!.timeout)) return false;
        const seconds = manner.catchUp!.timeout / 1000;
        return await this.#cancel(writer, transfer, place, `the data was not there after ${seconds} s`);
      }
      case "switched": {
        const { behind } = this.#options.gateways.convergence(transfer.revision!);
        // Who has not switched still holds, and then refuses: nothing is written twice, so nobody waits for ever.
        if (behind.length > 0 && !this.#isOver(place, transfer, FENCE_TIMEOUT)) return false;
        await writer.save(place.next(execution, { ...transfer, phase: "done", since: this.#options.now() }));
        return true;
      }
      case "done":
        return false;
    }
  }

  /** Takes back one thing, newest first. What cannot be taken back is said, and waits for somebody. */
  async revert(writer: Writer): Promise<boolean | "done"> {
    try {
      return await this.#revert(writer);
    } catch (error) {
      if (!isFinal(error)) throw error;
      await this.#hold(writer, error.message);
      return true;
    }
  }

  async #hold(writer: Writer, failed: string): Promise<void> {
    const says = `revert failed: ${failed}`;
    const entry = { at: this.#options.now(), by: "tidegate", what: says };
    const { reverting: _, ...rest } = writer.execution;
    const revertedBy = rest.revertedBy ?? "tidegate";
    await writer.save(withEntry({ ...rest, state: "held", says, revertedBy }, entry));
  }

  async #revert(writer: Writer): Promise<boolean | "done"> {
    const { execution, standing } = writer;
    const reason = `revert of ${ownerOf(execution)}`;
    const { reverting } = execution;
    if (reverting !== undefined && reverting.phase !== "done") {
      const result = await this.step(writer, reverting, this.#mannerOf(execution, reverting), {
        key: `${execution.id}/revert/${reverting.back}`,
        title: "revert",
        next: (current, transfer) => ({ ...current, reverting: transfer }),
      });
      if (typeof result === "boolean") return result;
      await this.#hold(writer, result.failed);
      return true;
    }
    const own = ownOf(execution, standing);
    const last = own.at(-1);
    if (last === undefined) return (await this.#restore(writer, reason)) || "done";
    if (last.change.kind === "move") {
      const { slots, keys, unit } = last.change;
      await writer.save({ ...execution, reverting: { slots, keys, unit, back: last.id, phase: "idle" } });
      return true;
    }
    // What was laid since the last move goes at once.
    const group: Overlay[] = [];
    for (const overlay of own.toReversed()) {
      if (overlay.change.kind === "move") break;
      group.push(overlay);
    }
    const dead = deadUnit(group, standing, this.#options.rollouts);
    if (dead !== undefined && execution.state === "reverting") {
      const says = `stable in ${dead} is dead, so its users stay on the canary; bring it back, and resume`;
      const entry = { at: this.#options.now(), by: "tidegate", what: says };
      const left: Execution = {
        ...execution,
        state: "held",
        says,
        revertedBy: execution.revertedBy ?? "tidegate",
      };
      await writer.save(withEntry(left, entry));
      return true;
    }
    await writer.change({ lay: [], remove: group.map(({ id }) => id) }, reason, (made) =>
      owning(execution, [], made.removed, standing.overlays),
    );
    return true;
  }

  /** Lays again what others had laid and this took away, unless its time is over or its place is taken. */
  async #restore(writer: Writer, reason: string): Promise<boolean> {
    const { execution } = writer;
    const [next, ...rest] = execution.removed;
    if (next === undefined) return false;
    const now = this.#options.now();
    const without = (current: Execution, what: string): Execution =>
      withEntry({ ...current, removed: rest }, { at: now, by: "tidegate", what });
    if (next.expires !== undefined && next.expires <= now) {
      await writer.save(without(execution, `${next.id} would be over by now`));
      return true;
    }
    try {
      await writer.change({ lay: [], remove: [], restore: [next] }, reason, () =>
        without(execution, `${next.id} lies again`),
      );
    } catch (error) {
      if (!isFinal(error)) throw error;
      await writer.save(without(execution, `${next.id} was not laid again: ${error.message}`));
    }
    return true;
  }

  async #switch(
    writer: Writer,
    transfer: Transfer,
    reason: string,
    place: TransferPlace,
  ): Promise<true | { readonly failed: string }> {
    const { execution, standing } = writer;
    try {
      await this.#change(writer, switchOf(transfer, ownOf(execution, standing), reason), place, (made) => {
        const { fence: _, ...rest } = transfer;
        return { ...rest, phase: "switched", revision: made.revision.number, since: this.#options.now() };
      });
    } catch (error) {
      if (!isFinal(error)) throw error;
      // A rule, or what another laid meanwhile: writes are not held because of it.
      return await this.#cancel(writer, transfer, place, error.message);
    }
    return true;
  }

  async #cancel(
    writer: Writer,
    transfer: Transfer,
    place: TransferPlace,
    failed: string,
  ): Promise<{ readonly failed: string }> {
    const { fence, revision: _, ...rest } = transfer;
    const lies = writer.standing.overlays.some(({ id }) => id === fence);
    const idle: Transfer = { ...rest, phase: "idle" };
    if (fence === undefined || !lies) await writer.save(place.next(writer.execution, idle));
    else await this.#change(writer, { lay: [], remove: [fence] }, place, () => idle);
    return { failed };
  }

  async #change(
    writer: Writer,
    set: Parameters<Writer["change"]>[0],
    place: TransferPlace,
    next: (made: Parameters<Parameters<Writer["change"]>[2]>[0]) => Transfer,
  ): Promise<void> {
    const { execution, standing } = writer;
    await writer.change(set, place.title, (made) =>
      place.next(owning(execution, made.laid, made.removed, standing.overlays), next(made)),
    );
  }

  #isOver({ key }: TransferPlace, { since, phase }: Transfer, milliseconds: number): boolean {
    // The key begins with the execution's id, by which its times are forgotten.
    return this.#options.timers.isOver(`${key.replace("/", " ")} ${phase}`, since ?? 0, milliseconds);
  }

  /** As its step moved it there. */
  #mannerOf({ steps, runs }: Execution, { slots }: Transfer): Manner {
    const first = slots[0]?.first;
    for (const step of eachStep(steps)) {
      if (step.kind !== "evacuate" && step.kind !== "move") continue;
      const covers = runs[step.path]?.transfers?.some((one) =>
        one.slots.some((range) => first !== undefined && range.first <= first && first <= range.last),
      );
      if (covers === true) return step;
    }
    return BACK;
  }
}

function ownOf(execution: Execution, { overlays }: Standing): Overlay[] {
  return overlays.filter(({ id }) => execution.overlays.includes(id));
}

/** Trying again would not help. */
function isFinal(error: unknown): error is Refused {
  return error instanceof Refused && !["conflict", "not-leader", "store"].includes(error.kind);
}
