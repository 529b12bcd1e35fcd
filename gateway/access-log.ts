/**
 * Access log off the hot path: a request leaves a small record in a bounded list, and a timer writes the list with
 * pino later. When the list is full, records are dropped and counted rather than waited for.
 */
import type { Random } from "../model/clock.ts";

export interface AccessRecord {
  /** Wall-clock milliseconds at the end of the request. */
  readonly time: number;
  readonly method: string;
  /** Without the query, which may carry secrets. */
  readonly path: string;
  readonly host: string;
  readonly client: string;
  readonly status: number;
  readonly route: string;
  readonly unit: string;
  readonly version: string;
  readonly slot: number;
  readonly attempts: number;
  readonly milliseconds: number;
  readonly trace: string;
  /** The problem type where the gateway answered by itself, `client-closed` where the client left; else empty. */
  readonly problem: string;
  /** The run, of stress traffic alone. */
  readonly stress?: string;
}

const MOST_WAITING = 10_000;

export class AccessLog {
  readonly #write: ((record: AccessRecord) => void) | undefined;
  readonly #random: Random;
  #waiting: AccessRecord[] = [];
  #sample = 1;
  dropped = 0;

  /** @param write undefined turns the log off. */
  constructor(write: ((record: AccessRecord) => void) | undefined, random: Random) {
    this.#write = write;
    this.#random = random;
  }

  /** @param share 0 to 1; answers of 500 and above are always logged. */
  setSample(share: number): void {
    this.#sample = share;
  }

  /** Asked before a record is made, so that nothing is made in vain. */
  wants(status: number): boolean {
    if (this.#write === undefined) return false;
    return status >= 500 || this.#sample >= 1 || (this.#sample > 0 && this.#random.next() < this.#sample);
  }

  add(record: AccessRecord): void {
    if (this.#waiting.length >= MOST_WAITING) this.dropped++;
    else this.#waiting.push(record);
  }

  flush(): void {
    if (this.#waiting.length === 0 || this.#write === undefined) return;
    const records = this.#waiting;
    this.#waiting = [];
    for (const record of records) this.#write(record);
  }
}
