/** Whether this control plane leads: it asks the store again and again, and stops by itself before its lease ends. */
import type { Leadership as Lease, Store } from "./store/store.ts";

/** A leader that is gone is followed after this (ms) at most; it renews its lease three times in between. */
export const LEASE = 3_000;
const RENEW = LEASE / 3;
/** A leader counts on its lease for so much less (ms), because its clock and the store's may differ. */
const MARGIN = 500;

export interface LeadershipOptions {
  readonly store: Store;
  /** This process, unlike any other. */
  readonly holder: string;
  /** Monotonic milliseconds. */
  readonly monotonic: () => number;
  /** It leads from now on, or no longer, or another one does. */
  readonly onChange: (epoch: number | undefined) => void;
  readonly onError: (error: Error) => void;
}

export class Leadership {
  readonly #options: LeadershipOptions;
  #lease: Lease | undefined;
  /** Monotonic time at which the lease must not be counted on any more. */
  #until = Number.NEGATIVE_INFINITY;
  #observed = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: LeadershipOptions) {
    this.#options = options;
  }

  /** Undefined while another leads, or nobody knows. */
  get epoch(): number | undefined {
    return this.#options.monotonic() < this.#until ? this.#lease?.epoch : undefined;
  }

  /** The newest epoch that was seen, whoever leads. */
  get observed(): number {
    return this.#observed;
  }

  /** Asks now, and from then on. */
  async start(): Promise<void> {
    await this.#ask();
    const again = async (): Promise<void> => {
      await this.#ask();
      if (!this.#stopped) this.#timer = setTimeout(() => void again(), RENEW);
    };
    this.#timer = setTimeout(() => void again(), RENEW);
  }

  /** Gives the leadership up, so that the next one need not wait. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    const led = this.epoch !== undefined;
    this.#until = Number.NEGATIVE_INFINITY;
    if (led) await this.#options.store.resign(this.#options.holder).catch(this.#options.onError);
  }

  async #ask(): Promise<void> {
    const { store, holder, monotonic, onChange, onError } = this.#options;
    const before = this.epoch;
    const asked = monotonic();
    try {
      const lease = await store.lead(holder, LEASE);
      if (this.#stopped) return;
      this.#lease = lease;
      this.#until = lease === undefined ? Number.NEGATIVE_INFINITY : asked + LEASE - MARGIN;
      const epoch = lease?.epoch ?? (await store.leader())?.epoch ?? this.#observed;
      const changed = this.epoch !== before || epoch !== this.#observed;
      this.#observed = Math.max(this.#observed, epoch);
      if (changed) onChange(this.epoch);
    } catch (error) {
      onError(error as Error);
      if (before !== undefined && this.epoch === undefined) onChange(undefined);
    }
  }
}
