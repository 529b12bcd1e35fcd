/**
 * Runs of stress traffic: registered before their first request, watched while they live, ended by anyone with the right,
 * by the guardrail, or by their runner.
 *
 * A run is ended where its marks are read: every gateway is told, in the next snapshot, that the run's marks count no
 * longer. So it ends whether its runner hears of it or not. Only the leader watches; who becomes the leader reads what
 * lives and goes on.
 */
import type { Desk } from "../desk.ts";
import type { Actor } from "../draft.ts";
import type { FleetFigures } from "../fleet-figures.ts";
import { unitStandings } from "../fleet-units.ts";
import type { Gateways } from "../publish/gateways.ts";
import { Refused } from "../refused.ts";
import type { PutDocument, Store, StoredDocument } from "../store/store.ts";
import { parseAbortOn } from "./abort-on.ts";
import { harmOf } from "./guardrail.ts";
import { endMarks } from "./marks.ts";
import { madeOf, type RunRequest } from "./registration.ts";
import {
  auditOf,
  newsOf,
  putRun,
  STRESS_LIVE,
  STRESS_RUN,
  type StressRun,
  type StressState,
  withSample,
} from "./run.ts";
import { StressSight } from "./sight.ts";

export interface StressRunsOptions {
  readonly desk: Desk;
  readonly store: Store;
  readonly figures: FleetFigures;
  readonly gateways: Gateways;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly monotonic: () => number;
  /** The leadership to write under; undefined while this control plane does not lead. */
  readonly epoch: () => number | undefined;
}

/** Runs that ended and are kept. */
const MOST_ENDED = 500;
/** A runner that was not heard of for so long (ms) is gone. */
const RUNNER_GONE = 10_000;
/** Nobody knows what it does to users for so long (ms). */
const BLIND = 10_000;
const SAMPLE_EVERY = 1_000;
const SAVE_EVERY = 10_000;
/** How often gateways report while a run lives (ms). */
export const PACE = 250;
const LOOK_FOR_OTHERS = 1_000;
const PAGE = 200;
const GUARDRAIL: Actor = { name: "guardrail", from: "", overrides: [] };

interface Held {
  run: StressRun;
  version: number;
  /** By the monotonic clock. */
  heardAt: number;
  sampledAt: number;
  savedAt: number;
  seenAt: number;
  beganAt: number;
  /** It ends; where the store is away it is not written yet. */
  doom: { readonly state: Exclude<StressState, "running">; readonly says: string } | undefined;
}

export class StressRuns {
  readonly #options: StressRunsOptions;
  readonly #sight: StressSight;
  readonly #held = new Map<string, Held>();
  #epoch: number | undefined;
  #newest = 0;
  #reading: Promise<void> | undefined;
  #turns: Promise<unknown> = Promise.resolve();
  #isLooking = false;
  #othersAt = Number.NEGATIVE_INFINITY;
  /** When the last run ends that another control plane watches, in milliseconds since 1970. */
  #othersUntil = 0;

  constructor(options: StressRunsOptions) {
    this.#options = options;
    this.#sight = new StressSight(options.figures);
  }

  /** How often gateways are to report (ms); undefined: as ever. */
  get pace(): number | undefined {
    const isLive =
      this.#epoch === undefined ? this.#options.now() < this.#othersUntil : this.#live.length > 0;
    return isLive ? PACE : undefined;
  }

  get #live(): Held[] {
    return [...this.#held.values()].filter(({ run }) => run.state === "running");
  }

  /** @throws Refused */
  async find(id: string): Promise<StressRun> {
    const held = this.#held.get(id)?.run;
    if (held !== undefined && this.#epoch !== undefined) return held;
    const stored = await this.#options.store.document(STRESS_RUN, id);
    if (stored !== undefined) return JSON.parse(stored.body) as StressRun;
    throw new Refused("not-found", `there is no stress run ${id}; tidegate stress ls lists them`);
  }

  /** The newest first. */
  async list(): Promise<StressRun[]> {
    const all: StressRun[] = [];
    for await (const { body } of this.#stored()) all.push(JSON.parse(body) as StressRun);
    const known = all.map((run) => this.#held.get(run.id)?.run ?? run);
    return known.sort((a, b) => numberOf(b) - numberOf(a));
  }

  /** @param also documents of the same commit · @throws Refused */
  register(
    request: RunRequest,
    actor: Actor,
    also: (made: StressRun) => readonly PutDocument[],
  ): Promise<StressRun> {
    return this.#inTurn(async () => {
      const epoch = await this.#leading();
      const made = madeOf(
        request,
        actor,
        this.#live.map((held) => held.run),
        this.#sight,
        this.#options,
      );
      const run: StressRun = { id: `sr-${this.#newest + 1}`, ...made };
      const { at } = run;
      await this.#options.desk.write({
        epoch,
        puts: [putRun(run, 0), this.#liveUntil(run.until), ...also(run)],
        events: [newsOf(run, at)],
        audit: [auditOf(run, at, actor, "start")],
      });
      this.#newest = numberOf(run);
      this.#hold(run, 1);
      return run;
    });
  }

  /** Its runner lives, and hears how it stands. @throws Refused */
  async beat(id: string): Promise<StressRun> {
    await this.#leading();
    const held = this.#held.get(id);
    if (held === undefined) return await this.find(id);
    held.heardAt = this.#options.monotonic();
    const { run, doom } = held;
    return doom === undefined || run.state !== "running" ? run : { ...run, ...doom };
  }

  /** @param result what its runner counted · @throws Refused */
  end(
    id: string,
    state: Exclude<StressState, "running">,
    says: string,
    actor: Actor,
    also: (made: StressRun) => readonly PutDocument[],
    result?: unknown,
  ): Promise<StressRun> {
    return this.#inTurn(async () => {
      await this.#leading();
      const held = this.#held.get(id);
      if (held === undefined)
        throw new Refused("not-found", `there is no stress run ${id}; tidegate stress ls lists them`);
      if (held.run.state !== "running") return await this.#addResult(held, result, also);
      // Its runner hears of it at once, whatever becomes of the commit.
      if (actor === GUARDRAIL || state === "stopped") held.doom = { state, says };
      try {
        await this.#end(held, { state, says, endedBy: actor.name }, actor, also, result);
      } catch (error) {
        // It may have been written all the same, or by the leader before.
        await this.#reread(held);
        throw error;
      }
      return held.run;
    });
  }

  /** Call it often: it watches what lives. @throws Unavailable */
  async look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      await this.#lead();
      if (this.#epoch === undefined) return await this.#lookForOthers();
      for (const held of this.#live) await this.#watch(held);
    } finally {
      this.#isLooking = false;
    }
  }

  async #watch(held: Held): Promise<void> {
    const { now, monotonic } = this.#options;
    held.doom ??= this.#doomOf(held);
    if (held.doom !== undefined) {
      const { state, says } = held.doom;
      // The store may be away: then it is tried again, and the runner has heard of it all the same.
      await this.end(held.run.id, state, says, GUARDRAIL, () => []).catch((error: Error) => {
        if (!(error instanceof Refused)) throw error;
      });
      return;
    }
    const time = monotonic();
    if (time - held.sampledAt < SAMPLE_EVERY) return;
    held.sampledAt = time;
    const units = held.run.before.map(({ unit }) => unit).filter((unit) => unit !== "");
    held.run = withSample(held.run, { at: now() - held.run.at, ...this.#sight.sample(held.run.unit, units) });
    if (time - held.savedAt < SAVE_EVERY) return;
    held.savedAt = time;
    await this.#inTurn(async () => {
      if (held.run.state === "running") await this.#write(held, held.run, []);
    }).catch((error: Error) => {
      if (!(error instanceof Refused)) throw error;
    });
  }

  #doomOf(held: Held): Held["doom"] {
    const { now, monotonic, gateways, desk } = this.#options;
    const { run, heardAt, beganAt } = held;
    const time = monotonic();
    if (now() >= run.until)
      return { state: "lost", says: "its mark has expired, and its runner said nothing" };
    if (time - heardAt > RUNNER_GONE)
      return { state: "lost", says: `its runner was not heard of for ${RUNNER_GONE / 1_000} s` };
    const windows = this.#sight.windows(run.unit, (time - beganAt) / 1_000);
    if (windows.isKnown) held.seenAt = time;
    if (time - held.seenAt > BLIND) {
      return {
        state: "aborted",
        says: `no gateway reported for ${BLIND / 1_000} s: nobody sees what it does to users`,
      };
    }
    const abortOn = parseAbortOn(run.abortOn);
    const parsed = typeof abortOn === "string" ? [] : abortOn;
    const harm = harmOf({ unit: run.unit, before: run.before, abortOn: parsed }, windows.all);
    if (harm !== undefined) return { state: "aborted", says: harm };
    const standings = unitStandings(desk.standing?.config.fleet.units ?? [], gateways.list());
    const ill = standings.find(({ unit, healthy }) => healthy === false && this.#wasHealthy(run, unit));
    return ill === undefined
      ? undefined
      : { state: "aborted", says: `unit ${ill.unit} fails its health checks, as most gateways see it` };
  }

  /** It was watched because it was well when the run began: `before` lists no others. */
  #wasHealthy({ before }: StressRun, unit: string): boolean {
    return before.some((one) => one.unit === unit);
  }

  async #end(
    held: Held,
    ended: Pick<StressRun, "state" | "says" | "endedBy">,
    actor: Actor,
    also: (made: StressRun) => readonly PutDocument[],
    result: unknown,
  ): Promise<void> {
    const { desk, now } = this.#options;
    const at = now();
    const { run, version } = held;
    const next: StressRun = { ...run, ...ended, endedAt: at, ...(result === undefined ? {} : { result }) };
    const puts = [putRun(next, version), ...also(next)];
    const owner = `stress run ${run.id} (${run.owner.name})`;
    const reason = ended.says ?? "";
    const epoch = (): Promise<number> => this.#leading();
    await endMarks(desk, { run: run.id, owner, reason, left: run.until - at, puts, epoch }, actor);
    held.run = next;
    held.version++;
    held.doom = undefined;
    // What was done is done, also where nobody can be told of it.
    await desk
      .write({ events: [newsOf(next, at)], audit: [auditOf(next, at, actor, "end")] })
      .catch((error: Error) => {
        if (!(error instanceof Refused)) throw error;
      });
    await this.#forget();
  }

  /** It was ended by somebody else; what its runner counted is kept all the same, once. */
  async #addResult(
    held: Held,
    result: unknown,
    also: (made: StressRun) => readonly PutDocument[],
  ): Promise<StressRun> {
    if (result !== undefined && held.run.result === undefined)
      await this.#write(held, { ...held.run, result }, also(held.run));
    return held.run;
  }

  async #write(held: Held, next: StressRun, more: readonly PutDocument[]): Promise<void> {
    const epoch = await this.#leading();
    await this.#options.desk.write({ epoch, puts: [putRun(next, held.version), ...more] });
    held.run = next;
    held.version++;
  }

  async #reread(held: Held): Promise<void> {
    const stored = await this.#options.store.document(STRESS_RUN, held.run.id).catch(() => undefined);
    if (stored === undefined) return;
    held.version = stored.version;
    held.run = JSON.parse(stored.body) as StressRun;
  }

  async #forget(): Promise<void> {
    const ended = [...this.#held.values()].filter(({ run }) => run.state !== "running");
    const old = ended
      .sort((a, b) => numberOf(a.run) - numberOf(b.run))
      .slice(0, Math.max(0, ended.length - MOST_ENDED));
    if (old.length === 0) return;
    const deletes = old.map(({ run, version }) => ({ kind: STRESS_RUN, id: run.id, expect: version }));
    await this.#options.desk.write({ epoch: await this.#leading(), deletes });
    for (const { run } of old) this.#held.delete(run.id);
  }

  #liveUntil(until: number): PutDocument {
    const latest = Math.max(until, ...this.#live.map(({ run }) => run.until));
    return { kind: STRESS_LIVE, id: "all", body: JSON.stringify({ until: latest }) };
  }

  /** Gateways of a control plane that does not lead report as often. */
  async #lookForOthers(): Promise<void> {
    const { monotonic, store } = this.#options;
    if (monotonic() - this.#othersAt < LOOK_FOR_OTHERS) return;
    this.#othersAt = monotonic();
    const stored = await store.document(STRESS_LIVE, "all");
    this.#othersUntil = stored === undefined ? 0 : (JSON.parse(stored.body) as { until: number }).until;
  }

  /** @throws Refused when it does not lead */
  async #leading(): Promise<number> {
    await this.#lead();
    if (this.#epoch !== undefined) return this.#epoch;
    throw new Refused("not-leader", "this control plane does not lead now; try again in a few seconds");
  }

  /** Reads everything when it becomes the leader. @throws Unavailable */
  async #lead(): Promise<void> {
    while (this.#reading !== undefined) await this.#reading.catch(() => {});
    if (this.#options.epoch() === this.#epoch) return;
    this.#reading = this.#read();
    try {
      await this.#reading;
    } finally {
      this.#reading = undefined;
    }
  }

  async #read(): Promise<void> {
    const epoch = this.#options.epoch();
    this.#held.clear();
    this.#epoch = undefined;
    if (epoch === undefined) return;
    await this.#options.desk.refresh();
    for await (const { body, version } of this.#stored()) {
      const run = JSON.parse(body) as StressRun;
      this.#newest = Math.max(this.#newest, numberOf(run));
      this.#hold(run, version);
    }
    this.#epoch = epoch;
  }

  #hold(run: StressRun, version: number): void {
    const time = this.#options.monotonic();
    const times = { heardAt: time, sampledAt: time, savedAt: time, seenAt: time, beganAt: time };
    this.#held.set(run.id, { run, version, ...times, doom: undefined });
  }

  async *#stored(): AsyncIterable<StoredDocument> {
    let after: string | undefined;
    let page: StoredDocument[];
    do {
      page = await this.#options.store.documents(STRESS_RUN, after, PAGE);
      yield* page;
      after = page.at(-1)?.id;
    } while (page.length === PAGE);
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#turns.then(act, act);
    this.#turns = turn.catch(() => {});
    return turn;
  }
}

function numberOf({ id }: StressRun): number {
  return Number(id.slice(3));
}
