/**
 * Sends what threads recorded to a collector, on the main thread: in batches, one at a time, each with a deadline.
 * What a collector does not take in time is dropped and counted; nothing that serves requests ever waits for it.
 */
import type { Logger } from "pino";
import type { Clock, Random } from "../../model/clock.ts";
import { type Collector, type CollectorAddress, openCollector, type Sent } from "./collector.ts";
import type { Recorded } from "./recorded.ts";
import { exportRequest, type Resource, spansOf } from "./spans.ts";

/** Requests that wait to be sent, and that are sent at once. */
export const MOST_QUEUED = 4_096;
const BATCH = 256;
const EVERY = 500;
/** Of one message (ms). */
const DEADLINE = 5_000;
/** Until the next try (ms), growing. */
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 30_000;
/** So often (ms) a gateway that ends looks whether all was sent. */
const LAST_LOOK = 20;

export interface ExporterOptions {
  readonly address: CollectorAddress;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, "info" | "warn">;
  readonly count: (name: string, labels: string, n: number) => void;
  readonly resource: () => Resource;
  /** Otherwise the address says. */
  readonly collector?: Collector;
}

export class SpanExporter {
  readonly #options: ExporterOptions;
  readonly #collector: Collector;
  #queue: Recorded[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isSending = false;
  #pause = 0;
  #notBefore = 0;

  constructor(options: ExporterOptions) {
    this.#options = options;
    this.#collector = options.collector ?? openCollector(options.address);
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(), EVERY);
    this.#timer.unref();
  }

  get queued(): number {
    return this.#queue.length;
  }

  add(records: readonly Recorded[]): void {
    const room = Math.max(0, MOST_QUEUED - this.#queue.length);
    this.#queue.push(...records.slice(0, room));
    this.#drop("queue", records.slice(room));
  }

  #drop(cause: string, records: readonly Recorded[]): void {
    const spans = records.reduce((sum, record) => sum + spansOf(record), 0);
    this.dropped(cause, spans);
  }

  /** @param cause `thread`, `queue`, or `refused` */
  dropped(cause: string, spans: number): void {
    if (spans > 0) this.#options.count("tidegate_spans_dropped_total", `cause="${cause}"`, spans);
  }

  /** Sends what waits, unless that is under way or was of no use just now. */
  async look(): Promise<void> {
    const { clock } = this.#options;
    if (this.#isSending || this.#queue.length === 0 || clock.now() < this.#notBefore) return;
    this.#isSending = true;
    try {
      while (this.#queue.length > 0 && clock.now() >= this.#notBefore) await this.#sendOne();
    } finally {
      this.#isSending = false;
    }
  }

  async #sendOne(): Promise<void> {
    const batch = this.#queue.slice(0, BATCH);
    const message = exportRequest(batch, this.#options.resource());
    const sent = await this.#collector.send(message, DEADLINE);
    if (!sent.taken && sent.again) {
      this.#backOff(sent.after, sent.why);
      return;
    }
    // Only `add` changed it meanwhile, and that at its end.
    this.#queue = this.#queue.slice(batch.length);
    this.#settled(batch, sent);
  }

  #settled(batch: readonly Recorded[], sent: Sent): void {
    const { count, log } = this.#options;
    if (!sent.taken) {
      this.#drop("refused", batch);
      // Once, until one is taken.
      if (this.#pause === 0)
        log.warn({ reason: sent.why }, "the collector refuses spans; they are dropped and counted");
      this.#pause = FIRST_PAUSE;
      return;
    }
    const spans = batch.reduce((sum, record) => sum + spansOf(record), 0);
    const rejected = Math.min(spans, sent.rejected);
    this.dropped("refused", rejected);
    if (spans > rejected) count("tidegate_spans_exported_total", "", spans - rejected);
    if (this.#pause > 0) log.info("the collector takes spans again");
    this.#pause = 0;
  }

  #backOff(after: number, reason: string): void {
    const { clock, random, log } = this.#options;
    if (this.#pause === 0)
      log.warn({ reason }, "the collector does not take spans; they wait, and are dropped beyond a bound");
    this.#pause = Math.min(LONGEST_PAUSE, Math.max(FIRST_PAUSE, this.#pause * 2));
    this.#notBefore = clock.now() + Math.max(after, this.#pause * (0.5 + random.next() / 2));
  }

  /** Sends what is left, for so long (ms) at most. */
  async stop(milliseconds: number): Promise<void> {
    const { clock } = this.#options;
    clearInterval(this.#timer);
    const until = clock.now() + milliseconds;
    while (this.#queue.length > 0 && this.#pause === 0 && clock.now() < until) {
      void this.look();
      await new Promise((resolve) => setTimeout(resolve, LAST_LOOK));
    }
    const requests = this.#queue.length;
    if (requests > 0)
      this.#options.log.warn({ requests }, "the collector did not take the last spans in time");
    this.#drop("queue", this.#queue);
    this.#queue = [];
    this.#collector.close();
  }
}
