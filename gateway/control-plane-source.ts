/**
 * Follows a control plane: one stream, verified snapshots, acknowledgements, a report a second.
 *
 * A gateway without its control plane serves on with what it has, and starts with what it had; it only hears of nothing
 * new. Nothing here is on the way of a request.
 */
import type { KeyObject } from "node:crypto";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import type { Logger } from "pino";
import type { Dispatcher } from "undici";
import type { Clock, Random } from "../model/clock.ts";
import { OTHER } from "../model/report.ts";
import { type Manifest, MOST_SNAPSHOT_BYTES, type Publication } from "../model/snapshot.ts";
import { type ConnectionFiles, ControlPlaneConnection } from "./control-plane-connection.ts";
import { sameSections, sourced, standing, type Verified, verified } from "./publication.ts";
import { SnapshotFile } from "./snapshot-file.ts";
import type { Source, Sourced, SourceHooks } from "./source.ts";
import { refusalOf } from "./succession.ts";

export interface ControlPlaneSourceOptions {
  /** Tried in turn. */
  readonly urls: readonly string[];
  readonly token: string | undefined;
  readonly tls: ConnectionFiles;
  /** This gateway's name, unlike any other's in the fleet. */
  readonly name: string;
  /** This process, unlike any other. */
  readonly instance: string;
  /** Where the last good snapshot rests. */
  readonly stateDir: string;
  /** Checks what is sent. */
  readonly key: KeyObject;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly random: Random;
  readonly log: Logger;
}

/** The control plane beats once a second; a stream that is silent for so long (ms) is dead. */
const SILENT = 5_000;
const CONNECT_TIMEOUT = 2_000;
/** Between two tries to connect (ms): growing, and never in step with the other gateways. */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 5_000;
/** A gateway that has nothing on its disk waits so long (ms) for its first snapshot. */
const FIRST_SNAPSHOT = 60_000;
const REPORT_EVERY = 1_000;
/** Or as often as the control plane asks for (ms), while stress traffic is watched. */
const PACE_HEADER = "x-tidegate-pace";
const FASTEST = 100;
/** Slices that are sent in one turn: a control plane that is back is not buried under what was counted meanwhile. */
const MOST_SLICES = 4;
/** A slice that is answered so will never be taken. */
const NEVER = [400, 413, 415, 422];
/** A gateway that ends waits so long (ms) for its last report. */
const LAST_WORDS = 1_000;

/** What a gateway was given. */
interface Handed {
  readonly sourced: Sourced;
  /** The newest publication that says just this. */
  newest: Verified;
  /** All threads serve it, and nothing that it fences is under way. */
  isServed: boolean;
}

export class ControlPlaneSource implements Source {
  readonly where: string;
  readonly #options: ControlPlaneSourceOptions;
  readonly #file: SnapshotFile;
  readonly #connection: ControlPlaneConnection;
  readonly #stopped = new AbortController();
  #hooks: SourceHooks | undefined;
  /** What is served, or will be as soon as the threads have it. */
  #current: Verified | undefined;
  /** It is on the disk. */
  #isKept = true;
  /** What was handed over last. */
  #handed: Handed | undefined;
  /** What may be said to be served: a fence that is on its way does not hold yet. */
  #served: Pick<Manifest, "epoch" | "revision"> | undefined;
  #onFirst: ((first: Sourced) => void) | undefined;
  #url = 0;
  #saidDown = false;
  #refusedWhat = "";
  #timer: NodeJS.Timeout | undefined;
  /** Milliseconds between two reports. */
  #pace = 0;
  #wanted = REPORT_EVERY;
  #isReporting = false;
  #underWay: Promise<void> = Promise.resolve();
  #warned = "";

  /** @throws when the state directory or a certificate cannot be used */
  constructor(options: ControlPlaneSourceOptions) {
    this.#options = options;
    this.where = options.urls.join(", ");
    this.#file = new SnapshotFile(options.stateDir);
    const timeouts = { connect: CONNECT_TIMEOUT, silent: SILENT };
    this.#connection = new ControlPlaneConnection(options.tls, timeouts, options.log);
  }

  /** What is on the disk; where there is nothing good, what the control plane sends first. */
  async first(): Promise<Sourced> {
    const { key, log, wallClock } = this.#options;
    try {
      const found = this.#file.read(key);
      if (found !== undefined) {
        this.#current = found;
        log.info({ ...standing(found) }, "starting with the snapshot on disk");
        return this.#hand(found, wallClock());
      }
    } catch (error) {
      log.error({ reason: (error as Error).message }, "the snapshot on disk is not served");
    }
    log.info({ controlPlane: this.where }, "waiting for the first snapshot");
    const first = new Promise<Sourced>((resolve, reject) => {
      this.#onFirst = resolve;
      const timer = setTimeout(() => {
        reject(new Error(`no control plane of ${this.where} sent a snapshot in ${FIRST_SNAPSHOT / 1000} s`));
      }, FIRST_SNAPSHOT);
      timer.unref();
    });
    void this.#follow();
    return first;
  }

  start(hooks: SourceHooks): void {
    this.#hooks = hooks;
    if (this.#onFirst === undefined) void this.#follow();
    else setImmediate(() => this.#catchUp(hooks));
    hooks.figures.begin();
    this.#reportEvery(REPORT_EVERY, hooks);
  }

  #reportEvery(milliseconds: number, hooks: SourceHooks): void {
    if (milliseconds === this.#pace) return;
    this.#pace = milliseconds;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => {
      if (!this.#isReporting) this.#underWay = this.#report(hooks);
      else hooks.figures.cut();
    }, milliseconds);
    hooks.pace(milliseconds);
  }

  reload(): void {
    this.#options.log.info("nothing to read again: this gateway follows a control plane");
  }

  served(served: Sourced): void {
    if (served !== this.#handed?.sourced) return;
    this.#handed.isServed = true;
    this.#acknowledge(this.#handed);
  }

  /** Reports go on: a gateway that drains still serves. */
  stop(): void {
    this.#stopped.abort();
  }

  async end(): Promise<void> {
    clearInterval(this.#timer);
    const [hooks, { instance }] = [this.#hooks, this.#options];
    // One may be under way, without what the threads handed over last.
    const report = async (): Promise<void> => (hooks === undefined ? undefined : this.#report(hooks));
    const last = this.#underWay.then(report).then(() => this.#say("leave", { instance }));
    await Promise.race([last, new Promise((resolve) => setTimeout(resolve, LAST_WORDS).unref())]);
    this.#connection.stop();
  }

  async #follow(): Promise<void> {
    const { clock, random, log } = this.#options;
    let pause = FIRST_PAUSE;
    while (!this.#stopped.signal.aborted) {
      const began = clock.now();
      try {
        await this.#listen();
        this.#lost("the stream ended");
      } catch (error) {
        this.#lost((error as Error).message);
      }
      this.#url++;
      pause = clock.now() - began > LONGEST_PAUSE ? FIRST_PAUSE : Math.min(LONGEST_PAUSE, pause * 2);
      await new Promise((resolve) => setTimeout(resolve, pause * (0.5 + random.next() / 2)));
    }
    log.debug("no longer following");
  }

  async #listen(): Promise<void> {
    const { log } = this.#options;
    const parser = createParser({ onEvent: (event) => this.#onEvent(event) });
    const { statusCode, body } = await this.#request("GET", "stream", undefined, {
      accept: "text/event-stream",
      "x-tidegate-instance": this.#options.instance,
      "x-tidegate-sections": [...(this.#current?.sections.keys() ?? [])].join(","),
    });
    if (statusCode !== 200) throw new Error(`${statusCode}: ${(await body.text()).slice(0, 300)}`);
    if (this.#saidDown) log.info({ controlPlane: this.where }, "the control plane answers again");
    this.#saidDown = false;
    const decoder = new TextDecoder();
    let sinceEvent = 0;
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      const text = decoder.decode(chunk, { stream: true });
      sinceEvent = text.includes("\n\n") ? 0 : sinceEvent + text.length;
      if (sinceEvent > MOST_SNAPSHOT_BYTES)
        throw new Error("a snapshot is larger than any that this gateway takes");
      parser.feed(text);
    }
  }

  #onEvent({ event, data }: EventSourceMessage): void {
    if (event !== "snapshot") return;
    let next: Verified;
    let now: number;
    try {
      const publication = JSON.parse(data) as Publication;
      next = verified(publication, this.#current?.sections ?? new Map(), this.#options.key);
      now = Number.isFinite(publication.now) ? publication.now : next.manifest.at;
    } catch (error) {
      this.#refuse(undefined, [(error as Error).message]);
      return;
    }
    const current = this.#current;
    if (current !== undefined && next.text === current.text) {
      // What it has already: the control plane should know, once it is served.
      if (this.#handed?.newest === current && this.#handed.isServed) this.#acknowledge(this.#handed);
      return;
    }
    const because = refusalOf(next.manifest, current?.manifest, this.#reached());
    if (because === undefined) this.#take(next, now);
    // Else a control plane that has not heard of the newest leader yet says what is served already.
    else if (current === undefined || !sameSections(next, current)) this.#refuse(next, [because]);
  }

  #take(next: Verified, now: number): void {
    const handed = this.#handed;
    // Another leader says the same: there is nothing to swap.
    const isSame = handed !== undefined && sameSections(next, handed.newest);
    const refused = isSame || this.#hooks === undefined ? [] : this.#use(next, now, this.#hooks);
    if (refused.length > 0) {
      this.#refuse(next, refused);
      return;
    }
    this.#current = next;
    this.#refusedWhat = "";
    this.#isKept = this.#keep(next);
    if (handed === undefined) this.#onFirst?.(this.#hand(next, now));
    else if (isSame) {
      handed.newest = next;
      if (handed.isServed) this.#acknowledge(handed);
    }
  }

  #keep(next: Verified): boolean {
    try {
      this.#file.write(next);
      return true;
    } catch (error) {
      const reason = (error as Error).message;
      const what = "the snapshot serves, and cannot be kept on disk: a restart would not have it";
      this.#options.log.error({ reason }, what);
      return false;
    }
  }

  #hand(next: Verified, now: number): Sourced {
    this.#handed = { sourced: sourced(next, now), newest: next, isServed: false };
    return this.#handed.sourced;
  }

  /** @returns why it was refused */
  #use(next: Verified, now: number, hooks: SourceHooks): readonly string[] {
    const before = this.#handed;
    const refused = hooks.use(this.#hand(next, now));
    if (refused.length > 0) this.#handed = before;
    return refused;
  }

  /** Another one came while the threads started with the first. */
  #catchUp(hooks: SourceHooks): void {
    const current = this.#current!;
    if (sameSections(current, this.#handed!.newest)) return;
    const refused = this.#use(current, this.#options.wallClock(), hooks);
    if (refused.length > 0) this.#refuse(current, refused);
  }

  #acknowledge({ newest: { manifest, config } }: Handed): void {
    // A fence that a restart would forget does not hold.
    if (!this.#isKept && config.fleet.placement.fences !== undefined) return;
    const { epoch, revision } = manifest;
    this.#served = { epoch, revision };
    void this.#say("acks", { epoch, revision, outcome: "applied", reasons: [] });
  }

  #refuse(next: Verified | undefined, reasons: readonly string[]): void {
    const what = `${next?.text ?? ""} ${reasons.join(" ")}`;
    if (what === this.#refusedWhat) return;
    this.#refusedWhat = what;
    this.#hooks?.refused(reasons);
    const { epoch = 0, revision = 0 } = next?.manifest ?? {};
    this.#options.log.error(
      { epoch, revision, reasons },
      "a snapshot was refused; the one before it serves on",
    );
    const short = reasons.slice(0, 20).map((r) => r.slice(0, 1_000));
    void this.#say("acks", { epoch, revision, outcome: "refused", reasons: short });
  }

  #reached(): { epoch: number; revision: number } {
    try {
      return this.#file.reached();
    } catch {
      return { epoch: 0, revision: 0 };
    }
  }

  #lost(reason: string): void {
    if (this.#hooks !== undefined) this.#reportEvery(REPORT_EVERY, this.#hooks);
    if (this.#saidDown || this.#stopped.signal.aborted) return;
    this.#saidDown = true;
    this.#options.log.warn(
      { reason, controlPlane: this.where },
      "no snapshots from the control plane; serving on without",
    );
  }

  /** One report is under way at a time, so that slices come in their order. */
  async #report(hooks: SourceHooks): Promise<void> {
    const { report, figures, errors } = hooks;
    figures.cut();
    if (this.#saidDown || this.#served === undefined) return;
    this.#isReporting = true;
    try {
      const standpoint = { ...this.#served, ...report() };
      // Apart from the figures, so that a control plane that does not know them yet still takes those.
      const traces = errors.take();
      if (traces.length > 0)
        errors.told(traces, await this.#say("reports", { ...standpoint, errors: traces }));
      for (let sent = 0; sent < MOST_SLICES; sent++) {
        const slice = figures.first();
        const said = slice === undefined ? standpoint : { ...standpoint, slice };
        const status = await this.#say("reports", said);
        this.#reportEvery(this.#wanted, hooks);
        if (slice === undefined || status === undefined) return;
        const isRefused = NEVER.includes(status);
        if (status >= 300 && !isRefused) return;
        figures.done(slice);
        this.#warn(isRefused ? status : undefined, slice.folded);
        if (figures.isEmpty) return;
      }
    } finally {
      this.#isReporting = false;
    }
  }

  /** Once, not once a second. */
  #warn(refused: number | undefined, folded: number): void {
    const what = refused !== undefined ? "refused" : folded > 0 ? "folded" : "";
    if (what !== "" && what !== this.#warned) {
      if (refused !== undefined)
        this.#options.log.warn({ status: refused }, "the control plane does not take figures");
      else this.#options.log.warn({ series: folded }, `more series than a report holds: counted as ${OTHER}`);
    }
    this.#warned = what;
  }

  /** @returns the status; undefined when nothing came. What is lost is said again by the next report. */
  async #say(what: string, said: object): Promise<number | undefined> {
    try {
      const json = { "content-type": "application/json" };
      const { body, statusCode, headers } = await this.#request("POST", what, JSON.stringify(said), json);
      this.#wanted = Math.min(REPORT_EVERY, Math.max(FASTEST, Number(headers[PACE_HEADER]) || REPORT_EVERY));
      await body.dump();
      return statusCode;
    } catch {
      // The stream tells whether the control plane is there.
      return undefined;
    }
  }

  #request(
    method: "GET" | "POST",
    what: string,
    body: string | undefined,
    headers: Record<string, string>,
  ): Promise<Dispatcher.ResponseData> {
    const { urls, token, name } = this.#options;
    const origin = urls[this.#url % urls.length]!;
    const path = `/v1/gateways/${encodeURIComponent(name)}/${what}`;
    const proof = token === undefined ? {} : { authorization: `Bearer ${token}` };
    return this.#connection.request(
      { origin, path, method, body: body ?? null, headers: { ...headers, ...proof } },
      method === "GET" ? this.#stopped.signal : undefined,
    );
  }
}
