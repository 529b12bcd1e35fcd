/**
 * Alerts of the fleet: evaluated every second by the leader, stored with what is to be told of them, and told.
 *
 * Everybody keeps the history, so that whoever leads next knows what was; only the leader decides and sends.
 */
import type { Logger } from "pino";
import { type Alerts, NO_ALERTS } from "../../model/alerts/alerts.ts";
import { watchesOf, type Watch } from "../../model/alerts/watch.ts";
import type { Config } from "../../model/config.ts";
import type { FleetFigures } from "../fleet-figures.ts";
import type { Gateways } from "../publish/gateways.ts";
import { REHEARSAL, type Rehearsal } from "../rehearsals/rehearsal.ts";
import type { PlanWatch } from "../runbook/plan-watch.ts";
import { Refused } from "../refused.ts";
import { type Store, Unavailable } from "../store/store.ts";
import { Book, type Kind, type Kinds } from "./book.ts";
import { Channels, type ChannelsOptions } from "./channels.ts";
import { evaluateRules, type Seen, tell } from "./evaluation.ts";
import { gather } from "./gather.ts";
import { History } from "./history.ts";
import { notify, type Quiet, quietOf } from "./notifying.ts";
import { Outbox } from "./outbox.ts";
import { Runs, type RunsOptions } from "./runs.ts";
import { SteadyClock } from "./steady-clock.ts";
import { endUnheard, tidy } from "./tidying.ts";

export interface AlertingOptions
  extends Omit<RunsOptions, "book" | "now">,
    Pick<ChannelsOptions, "hosts" | "secret"> {
  readonly store: Store;
  readonly figures: FleetFigures;
  readonly gateways: Gateways;
  readonly planWatch: Pick<PlanWatch, "unfit">;
  readonly epoch: () => number | undefined;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly monotonic: () => number;
  readonly random: (bytes: number) => Buffer;
  /** Missing: real ones. */
  readonly channels?: Pick<Channels, "send" | "problem">;
  readonly log: Pick<Logger, "info" | "error" | "warn">;
}

/** What is looked at rarely (ms). */
const RARELY = 60_000;
const PAGE = 500;

export class Alerting {
  readonly book: Book;
  readonly channels: Pick<Channels, "send" | "problem">;
  readonly #options: AlertingOptions;
  readonly #clock: SteadyClock;
  readonly #history = new History();
  readonly #outbox: Outbox;
  readonly #runs: Runs;
  #watches: { readonly config: Config; readonly of: ReadonlyMap<string, readonly Watch[]> } | undefined;
  #second: number | undefined;
  #rarelyAt = Number.NEGATIVE_INFINITY;
  #rehearsals = new Map<string, number>();
  #restored: number | undefined;
  #isBusy = false;
  #isFull = false;
  /** Of the last look. */
  seen: ReadonlyMap<string, Seen> = new Map();

  constructor(options: AlertingOptions) {
    this.#options = options;
    const { store, desk, epoch, random, now, log } = options;
    this.#clock = new SteadyClock(now, options.monotonic);
    this.book = new Book({ desk, store, epoch });
    this.channels = options.channels ?? new Channels({ ...options, now });
    this.#runs = new Runs({ ...options, book: this.book, now: () => this.now() });
    this.#outbox = new Outbox({
      book: this.book,
      channels: this.channels,
      alerts: () => this.alerts,
      now: () => this.now(),
      random: () => random(4).readUInt32BE() / 2 ** 32,
      onDead: ({ channel, says }) => log.error({ channel, reason: says }, "a message could not be delivered"),
      onError: (error) => this.#failed(error),
    });
  }

  /** Milliseconds since 1970, by a clock that does not jump. */
  now(): number {
    return this.#clock.now();
  }

  get alerts(): Alerts {
    return this.#options.desk.standing?.config.alerts ?? NO_ALERTS;
  }

  /** Called every second. Never throws. */
  async look(): Promise<void> {
    this.#remember();
    if (this.#options.epoch() === undefined) this.seen = new Map();
    if (this.#isBusy || this.#options.epoch() === undefined) return;
    this.#isBusy = true;
    try {
      await this.#evaluate();
    } catch (error) {
      // Another leads, or the store is gone: what holds is read again before anything else is done.
      if (!(error instanceof Refused) && !(error instanceof Unavailable)) this.#failed(error as Error);
    } finally {
      this.#isBusy = false;
    }
  }

  #failed(error: Error): void {
    this.#options.log.error({ error: error.stack }, "a defect of the alerts; please report it");
  }

  #remember(): void {
    const told = this.#options.figures.seconds(this.#second, {});
    // The first look only says where it begins.
    if (this.#second !== undefined) this.#history.add(told, this.now());
    this.#second = told.last;
  }

  async #evaluate(): Promise<void> {
    const { desk, monotonic } = this.#options;
    const { standing } = desk;
    if (standing === undefined) return;
    const { config, revision } = standing;
    const isRare = monotonic() - this.#rarelyAt >= RARELY;
    if (isRare) {
      this.#rarelyAt = monotonic();
      this.#rehearsals = await this.#readRehearsals();
    }
    await this.book.alone(async () => this.#restore());
    const now = this.now();
    this.#history.look(now);
    const facts = gather(
      {
        ...this.#options,
        history: this.#history,
        unfit: this.#options.planWatch.unfit,
        executions: this.#options.engine.all,
        rehearsals: this.#rehearsals,
      },
      config,
      revision.number,
      now,
    );
    const { seen, left } = await this.book.change((changes) => {
      const evaluated = evaluateRules(
        changes,
        this.book,
        this.alerts,
        this.#watchesOf(config),
        config,
        facts,
      );
      tell(changes, endUnheard(changes, this.book, now), now);
      const cell = this.#history.closed(now);
      if (cell !== undefined && !this.book.table("alert-figures").has(`${cell.at}`)) {
        changes.put("alert-figures", `${cell.at}`, cell);
      }
      if (isRare) tidy(changes, this.book, now);
      return evaluated;
    });
    this.seen = seen;
    this.#warn(left);
    await this.#runs.look(this.#quiet(now));
    await this.book.change((changes) => notify(changes, this.book, this.alerts, this.#quiet(now), now));
    this.#outbox.look();
  }

  /** What was seen before this process did, and the key that links are signed with. */
  async #restore(): Promise<void> {
    const epoch = this.#options.epoch();
    if (this.#restored === epoch) return;
    for (const cell of this.book.table("alert-figures").values()) this.#history.restore(cell);
    this.#restored = epoch;
    if (this.book.table("alert-key").has("1")) return;
    const key = this.#options.random(32).toString("base64url");
    const body = JSON.stringify({ key });
    await this.#options.desk.write({ epoch, puts: [{ kind: "alert-key", id: "1", body, expect: 0 }] });
    this.book.table("alert-key").set("1", { key });
  }

  #quiet(now: number): Quiet {
    const { book } = this;
    return quietOf([...book.table("alert").values()], [...book.table("silence").values()], this.alerts, now);
  }

  #watchesOf(config: Config): ReadonlyMap<string, readonly Watch[]> {
    if (this.#watches?.config !== config) {
      const of = new Map(this.alerts.rules.map((rule) => [rule.name, watchesOf(rule, config)]));
      this.#watches = { config, of };
    }
    return this.#watches.of;
  }

  #warn(left: number): void {
    if (left > 0 && !this.#isFull) {
      this.#options.log.error({ left }, "there are more alerts than can be kept; the rest is not told");
    }
    this.#isFull = left > 0;
  }

  async #readRehearsals(): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    let after: string | undefined;
    for (;;) {
      const page = await this.#options.store.documents(REHEARSAL, after, PAGE);
      for (const { id, body } of page) found.set(id, (JSON.parse(body) as Rehearsal).at);
      if (page.length < PAGE) return found;
      after = page.at(-1)!.id;
    }
  }

  /** What is kept of one kind: as the leader knows it, or as it was written last. @throws Unavailable */
  async list<K extends Kind>(kind: K): Promise<Kinds[K][]> {
    return this.book.isRead ? [...this.book.table(kind).values()] : await this.book.stored(kind);
  }
}
