/**
 * A gateway without sockets: the real decision and the real fence on tables of real configurations; what its threads,
 * its disk and its stream do is told again here, in simulated time. @see gateway/fence.ts, gateway/control-plane-source.ts
 */
import { type Decision, decide } from "../../model/decide.ts";
import { type Fences, holdOf } from "../../model/fences.ts";
import type { Manifest } from "../../model/snapshot.ts";
import { refusalOf } from "../../gateway/succession.ts";
import type { Table } from "../../model/table.ts";
import type { Plane, Stream } from "./plane.ts";
import { type Connection, LINGER, type Unit, type Write } from "./units.ts";
import { Process, type World } from "./world.ts";

/** A configuration as it is published. */
export interface Edition {
  readonly epoch: number;
  readonly revision: number;
  /** Of what it says. */
  readonly digest: string;
  readonly table: Table;
  readonly fences: Fences | undefined;
  readonly placementEpoch: number;
}

/** How it breaks the protocol. */
export interface Flaws {
  /** It says that it serves a fence while writes are under way. */
  readonly isEager?: boolean;
  /** It says so though a restart would not know of it. */
  readonly isForgetful?: boolean;
}

const THREADS = 2;
const SILENT = 5_000;
const TOTAL = 3_000;

interface Handed {
  newest: Edition;
  isServed: boolean;
  /** Threads in which nothing is under way that it fences. */
  quiet: number;
}

class Exchange {
  readonly write: Omit<Write, "slot" | "epoch">;
  readonly decision: Decision;
  readonly epoch: number;
  readonly reply: (status: number) => void;
  readonly connection: Connection = { closedAt: Number.POSITIVE_INFINITY };
  isSettled = false;
  /** When it is cut off at a fence. */
  until = Number.POSITIVE_INFINITY;

  constructor(write: Exchange["write"], decision: Decision, epoch: number, reply: Exchange["reply"]) {
    this.write = write;
    this.decision = decision;
    this.epoch = epoch;
    this.reply = reply;
  }
}

interface HeldWrite {
  readonly decision: Decision;
  readonly release: () => void;
}

interface Thread {
  edition: Edition;
  readonly held: Set<HeldWrite>;
  readonly exchanges: Set<Exchange>;
  /** Told when none of these is under way. */
  awaited: Set<Exchange>;
  quiet: () => void;
  /** Its messages come in their order. */
  heardAt: number;
}

export class Gateway extends Process {
  readonly #world: World;
  readonly #planes: readonly Plane[];
  readonly #units: ReadonlyMap<string, Unit>;
  readonly #flaws: Flaws;
  #disk: Edition | undefined;
  /** How far it ever came. */
  #reached = { epoch: 0, revision: 0 };
  isDiskFull = false;
  #isKept = true;
  #threads: Thread[] = [];
  #handed: Handed | undefined;
  #served: { readonly epoch: number; readonly revision: number } | undefined;
  #stream: Stream | undefined;
  #url: number;
  #pause = 100;
  heardAt = 0;
  cutOff = 0;
  held = 0;

  constructor(
    name: string,
    world: World,
    planes: readonly Plane[],
    units: readonly Unit[],
    flaws: Flaws,
    url = 0,
  ) {
    super(name);
    this.#world = world;
    this.#planes = planes;
    this.#units = new Map(units.map((unit) => [unit.name, unit]));
    this.#flaws = flaws;
    this.#url = url;
  }

  get isServing(): boolean {
    return this.isAlive && this.frozenUntil <= this.#world.now && this.#threads.length > 0;
  }

  /** Starts, or starts again with what is on its disk. */
  start(): void {
    if (!this.isAlive) this.life++;
    if (this.#disk !== undefined) {
      this.#handed = { newest: this.#disk, isServed: true, quiet: THREADS };
      this.#begin(this.#disk);
    }
    this.#connect();
    this.#watch();
    this.#report();
  }

  kill(): void {
    for (const { exchanges } of this.#threads) {
      for (const exchange of exchanges) exchange.connection.closedAt = this.#world.now;
    }
    if (this.#stream !== undefined) this.#drop(this.#stream);
    this.life++;
    this.frozenUntil = 0;
    this.#threads = [];
    [this.#handed, this.#served, this.#stream] = [undefined, undefined, undefined];
  }

  /** A write of a client. */
  take(write: Exchange["write"], reply: (status: number) => void): void {
    if (this.#threads.length === 0) reply(503);
    else this.#proceed(this.#world.pick(this.#threads), write, reply);
  }

  #proceed(thread: Thread, write: Exchange["write"], reply: (status: number) => void): void {
    const { table, fences, placementEpoch } = thread.edition;
    const request = {
      ...{ method: "POST", host: "", path: "/cart/x", query: `uid=${write.key}` },
      ...{ headers: [], client: "" },
    };
    const decision = decide(table, { endpoints: HEALTHY }, request);
    if (decision.refused) throw new Error(`refused: ${decision.cause}`);
    const hold = fences === undefined ? 0 : holdOf(fences, decision);
    if (hold > 0) this.#hold(thread, decision, hold, write, reply);
    else {
      const exchange = new Exchange(write, decision, placementEpoch, reply);
      thread.exchanges.add(exchange);
      const world = this.#world;
      const line = world.chance(0.03) ? world.between(20, 1_500) : world.between(0, 2);
      world.on(this, line, () => this.#attempt(thread, exchange, 2));
      world.on(this, TOTAL, () => this.#settle(thread, exchange, 504));
    }
  }

  #hold(
    thread: Thread,
    decision: Decision,
    milliseconds: number,
    write: Exchange["write"],
    reply: (status: number) => void,
  ): void {
    const release = (): void => {
      thread.held.delete(one);
      this.#proceed(thread, write, reply);
    };
    const one = { decision, release };
    this.held++;
    thread.held.add(one);
    this.#world.on(this, milliseconds, () => {
      if (thread.held.delete(one)) reply(503);
    });
  }

  #attempt(thread: Thread, exchange: Exchange, left: number): void {
    if (exchange.isSettled) return;
    const world = this.#world;
    const { decision, connection, epoch } = exchange;
    const unit = this.#units.get(decision.candidates[decision.first]!.unit.name)!;
    if (world.isCut(this.name, unit.name)) {
      world.on(this, world.between(10, 300), () => {
        if (left > 1) this.#attempt(thread, exchange, left - 1);
        else this.#settle(thread, exchange, 502);
      });
      return;
    }
    // What is lost is sent again, as long as the connection is there.
    const again = world.chance(world.loss) ? world.between(200, 1_500) : 0;
    const write = { ...exchange.write, slot: decision.slot, epoch };
    world.on(unit, world.delay() + again, () => {
      if (world.now > connection.closedAt + LINGER || world.isCut(this.name, unit.name)) return;
      unit.receive(write, (status) => {
        world.send(unit.name, this, () => this.#settle(thread, exchange, status));
      });
    });
  }

  #settle(thread: Thread, exchange: Exchange, status: number): void {
    if (exchange.isSettled) return;
    exchange.isSettled = true;
    exchange.connection.closedAt = this.#world.now;
    thread.exchanges.delete(exchange);
    exchange.reply(status);
    if (thread.awaited.delete(exchange) && thread.awaited.size === 0) thread.quiet();
  }

  #begin(edition: Edition): void {
    this.#threads = Array.from({ length: THREADS }, () => ({
      ...{ edition, held: new Set<HeldWrite>(), exchanges: new Set<Exchange>() },
      ...{ awaited: new Set<Exchange>(), quiet: () => {}, heardAt: 0 },
    }));
    this.#served = edition;
  }

  #swap(thread: Thread, edition: Edition, quiet: () => void): void {
    const { fences } = edition;
    thread.edition = edition;
    thread.quiet = quiet;
    for (const write of [...thread.held]) {
      if (fences === undefined || holdOf(fences, write.decision) === 0) write.release();
    }
    thread.awaited = new Set();
    for (const exchange of fences === undefined ? [] : thread.exchanges) {
      const hold = holdOf(fences!, exchange.decision);
      if (hold === 0) continue;
      thread.awaited.add(exchange);
      exchange.until = Math.min(exchange.until, this.#world.now + hold);
      this.#world.on(this, exchange.until - this.#world.now, () => {
        if (exchange.isSettled || !thread.awaited.has(exchange)) return;
        this.cutOff++;
        this.#settle(thread, exchange, 502);
      });
    }
    if (thread.awaited.size === 0 || this.#flaws.isEager) quiet();
  }

  /** @internal Something came over the stream. */
  hear(stream: Stream, edition: Edition | undefined): void {
    if (stream !== this.#stream) return;
    this.heardAt = this.#world.now;
    this.#pause = 100;
    if (edition === undefined) return;
    const current = this.#handed?.newest;
    if (current !== undefined) {
      if (edition.epoch === current.epoch && edition.revision === current.revision) {
        if (this.#handed!.isServed) this.#acknowledge(this.#handed!);
        return;
      }
    }
    if (refusalOf(manifestOf(edition), current && manifestOf(current), this.#reached) !== undefined) return;
    this.#take(edition);
  }

  #take(edition: Edition): void {
    const isSame = this.#handed?.newest.digest === edition.digest;
    this.#isKept = !this.isDiskFull;
    if (this.#isKept) {
      this.#disk = edition;
      const { epoch, revision } = edition;
      this.#reached = { epoch, revision };
    }
    if (isSame) {
      this.#handed!.newest = edition;
      if (this.#handed!.isServed) this.#acknowledge(this.#handed!);
      return;
    }
    const handed: Handed = { newest: edition, isServed: false, quiet: 0 };
    this.#handed = handed;
    if (this.#threads.length === 0) {
      this.#begin(edition);
      handed.isServed = true;
      this.#acknowledge(handed);
      return;
    }
    for (const thread of this.#threads) {
      thread.heardAt = Math.max(thread.heardAt, this.#world.now + this.#world.between(0, 6));
      this.#world.on(this, thread.heardAt - this.#world.now, () =>
        this.#swap(thread, edition, () => {
          if (++handed.quiet < THREADS || handed !== this.#handed) return;
          handed.isServed = true;
          this.#acknowledge(handed);
        }),
      );
    }
  }

  #acknowledge({ newest: { epoch, revision, fences } }: Handed): void {
    if (!this.#isKept && !this.#flaws.isForgetful && fences !== undefined) return;
    this.#served = { epoch, revision };
    this.#say((plane) => plane.acked(this.name, { epoch, revision }));
  }

  #say(what: (plane: Plane) => unknown): void {
    const plane = this.#stream?.plane;
    if (plane !== undefined) this.#world.send(this.name, plane, () => what(plane));
  }

  #report(): void {
    const served = this.#served;
    if (served !== undefined) this.#say((plane) => plane.reported(this.name, served));
    this.#world.on(this, 1_000, () => this.#report());
  }

  #connect(): void {
    const plane = this.#planes[this.#url++ % this.#planes.length]!;
    const stream: Stream = {
      plane,
      gateway: this,
      life: this.life,
      heardAt: 0,
      isOpen: false,
      isBroken: false,
    };
    this.#stream = stream;
    this.heardAt = this.#world.now;
    this.#world.send(this.name, plane, () => plane.listen(stream));
  }

  /** A stream that is silent is dead. */
  #watch(): void {
    const stream = this.#stream!;
    if (stream.isBroken || this.#world.now - this.heardAt > SILENT) {
      this.#drop(stream);
      this.#pause = Math.min(5_000, this.#pause * 2);
      this.#world.on(this, this.#pause * this.#world.between(0.5, 1), () => {
        this.#connect();
        this.#watch();
      });
    } else this.#world.on(this, 200, () => this.#watch());
  }

  /** The other side hears of it, if it can; else after a while. */
  #drop(stream: Stream): void {
    const { plane } = stream;
    stream.isBroken = true;
    const delay = this.#world.isCut(this.name, plane.name) ? 20_000 : this.#world.delay();
    this.#world.on(plane, delay, () => plane.closed(stream));
  }
}

/** Of every endpoint: all are well. */
const HEALTHY = new Int32Array(64);

function manifestOf({ epoch, revision }: Edition): Manifest {
  return { fleet: "sim", epoch, revision, at: 0, sections: {} };
}
