/** Units that write down what they accept and tell each other of it, and the system that knows whether data has arrived. */
import type { HookResult } from "../../control-plane/runbook/hooks.ts";
import type { Placement } from "../../model/fleet.ts";
import { SlotOwnership } from "../../model/slot-ownership.ts";
import { rangesOf, slotsOf, type SlotRange } from "../../model/slots.ts";
import { Process, type World } from "./world.ts";

export interface Write {
  readonly id: number;
  readonly key: string;
  readonly slot: number;
  readonly epoch: number;
}

/**
 * What is held against every write: no two units accept a slot's writes in overlapping epochs, and who takes a slot over
 * has every write that was acknowledged before.
 */
export class Ledger {
  readonly violations: string[] = [];
  accepted = 0;
  /** Slot → unit → the newest epoch under which it accepted a write. */
  readonly #newest = new Map<number, Map<string, number>>();
  /** Slot → ids of the writes that clients were told are done. */
  readonly #acknowledged = new Map<number, number[]>();

  acknowledge(slot: number, id: number): void {
    const ids = this.#acknowledged.get(slot);
    if (ids === undefined) this.#acknowledged.set(slot, [id]);
    else ids.push(id);
  }

  /** Of these slots, what is not in the data of who owns them. */
  lost(slot: number, data: ReadonlySet<number>): number {
    return (this.#acknowledged.get(slot) ?? []).filter((id) => !data.has(id)).length;
  }

  get acknowledged(): number {
    return [...this.#acknowledged.values()].reduce((sum, { length }) => sum + length, 0);
  }

  accept({ slot, epoch, key }: Write, unit: string, data: ReadonlySet<number>, now: number): void {
    this.accepted++;
    let units = this.#newest.get(slot);
    if (units === undefined) {
      units = new Map();
      this.#newest.set(slot, units);
    }
    for (const [other, newest] of units) {
      if (other === unit || newest < epoch) continue;
      this.violations.push(
        `at ${now.toFixed(1)} ms ${unit} accepted a write of ${key} (slot ${slot}) under epoch ${epoch}, ` +
          `and ${other} had accepted one under ${newest}`,
      );
    }
    const before = units.get(unit) ?? 0;
    if (epoch > before) {
      const lost = this.lost(slot, data);
      if (lost > 0) {
        this.violations.push(
          `at ${now.toFixed(1)} ms ${unit} took slot ${slot} over under epoch ${epoch}, and ${lost} writes that ` +
            "were acknowledged had not arrived",
        );
      }
      units.set(unit, epoch);
    }
  }
}

/** A write on its way; a connection that is cut off carries nothing more, soon. */
export interface Connection {
  closedAt: number;
}

/** What the network still delivers of a connection that was cut off (ms). */
export const LINGER = 250;

/** What a unit knows of the placement, where it guards itself. */
interface Known {
  readonly revision: number;
  readonly placement: Placement;
}

export class Unit extends Process {
  readonly #world: World;
  readonly #ledger: Ledger;
  readonly #guards: boolean;
  readonly #log: Write[] = [];
  readonly data = new Set<number>();
  /** Other unit → how much of its log has arrived here. */
  readonly #arrived = new Map<string, number>();
  /** Slot → writes being done. */
  readonly #busy = new Map<number, number>();
  /** What the unit guard decides by. @see gateway/unit-guard.ts */
  readonly #ownership: SlotOwnership;

  constructor(name: string, world: World, ledger: Ledger, guards: boolean) {
    super(name);
    this.#world = world;
    this.#ledger = ledger;
    this.#guards = guards;
    this.#ownership = new SlotOwnership(name);
  }

  /** Tells the others again and again. @param lag milliseconds, at most */
  start(others: readonly Unit[], lag: number): void {
    const tell = (): void => {
      for (const other of others) if (other !== this) this.#tell(other);
      this.#world.at(this.#world.between(lag / 2, lag), tell);
    };
    tell();
  }

  receive(write: Write, reply: (status: number) => void): void {
    const world = this.#world;
    const takes = world.chance(0.01) ? world.between(200, 2_500) : world.between(0.5, 12);
    this.#busy.set(write.slot, (this.#busy.get(write.slot) ?? 0) + 1);
    world.on(this, takes, () => {
      this.#busy.set(write.slot, this.#busy.get(write.slot)! - 1);
      if (this.#refuses(write)) {
        reply(421);
        return;
      }
      this.#ledger.accept(write, this.name, this.data, world.now);
      this.data.add(write.id);
      this.#log.push(write);
      reply(200);
    });
  }

  /** From now on no write of these slots under this epoch, or an older one, is done here. */
  close(slots: readonly SlotRange[], epoch: number, revision: number): void {
    this.#ownership.close({ slots, keys: [], epoch, revision });
  }

  /** What the placement is by now: a slot that stays is open again. */
  learn({ revision, placement }: Known): void {
    this.#ownership.learn({ leadership: 0, revision, placement });
  }

  isBusy(slots: readonly number[]): boolean {
    return slots.some((slot) => (this.#busy.get(slot) ?? 0) > 0);
  }

  /** Whether all of these slots that this unit has written is in another. */
  hasArrived(slots: ReadonlySet<number>, other: Unit): boolean {
    const from = other.#arrived.get(this.name) ?? 0;
    return this.#log.slice(from).every(({ slot }) => !slots.has(slot));
  }

  #refuses({ slot, epoch }: Write): boolean {
    const why = this.#guards ? this.#ownership.misdirection(slot, epoch, undefined) : undefined;
    return why !== undefined && why !== "unknown";
  }

  #tell(other: Unit): void {
    const from = other.#arrived.get(this.name) ?? 0;
    const batch = this.#log.slice(from);
    if (batch.length === 0) return;
    this.#world.send(this.name, other, () => {
      const has = other.#arrived.get(this.name) ?? 0;
      if (has < from) return;
      for (const { id } of batch) other.data.add(id);
      other.#arrived.set(this.name, Math.max(has, from + batch.length));
    });
  }
}

interface Asked {
  readonly transfer: {
    readonly slots: readonly SlotRange[];
    readonly unit: string;
    readonly back: boolean;
    readonly epoch: number;
    readonly revision: number;
  };
}

/** The user's own system: it says whether the data of slots is where they go. */
export class DataSystem extends Process {
  readonly #world: World;
  readonly #units: readonly Unit[];
  /** Slot → where it lives without plans. */
  readonly #home: readonly string[];
  readonly #isHasty: boolean;
  readonly #first = new Map<string, number>();

  constructor(world: World, units: readonly Unit[], home: readonly string[], isHasty: boolean) {
    super("data");
    this.#world = world;
    this.#units = units;
    this.#home = home;
    this.#isHasty = isHasty;
  }

  answer(about: object, key: string): HookResult {
    const { slots: ranges, unit, back, epoch, revision } = (about as Asked).transfer;
    const ok = (status: number): HookResult => ({ ok: true, status, answer: {} });
    if (this.#isHasty) return ok(200);
    const { now } = this.#world;
    const first = this.#first.get(key) ?? now;
    this.#first.set(key, first);
    const slots = [...slotsOf(ranges)];
    for (const one of this.#units) {
      if (this.#world.isCut(this.name, one.name)) return ok(202);
      const leaves = slots.filter((slot) => (back ? this.#home[slot]! : unit) !== one.name);
      if (leaves.length > 0) one.close(rangesOf(leaves), epoch, revision);
    }
    // What was cut off at the fence may still come.
    if (now < first + 2 * LINGER) return ok(202);
    for (const slot of slots) {
      const target = back ? this.#home[slot]! : unit;
      const to = this.#units.find(({ name }) => name === target)!;
      for (const from of this.#units) {
        if (from === to) continue;
        if (from.isBusy([slot]) || !from.hasArrived(new Set([slot]), to)) return ok(202);
      }
    }
    return ok(200);
  }
}
