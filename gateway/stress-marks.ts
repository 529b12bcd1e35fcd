/**
 * Whether a stress mark is one: its text is parsed, and its signature checked, once; then a mark costs a look into a
 * small map. A signature takes a tenth of a millisecond, so a thread checks a few of them a second and no more: who makes
 * marks up spends that, and neither the thread's time nor the marks that are known already.
 */
import type { KeyObject } from "node:crypto";
import type { Clock } from "../model/clock.ts";
import type { StressSettings } from "../model/gateway-settings.ts";
import {
  EXPIRED,
  isSigned,
  keyIdOf,
  publicKeyFrom,
  readMark,
  type StressMark,
  wrongTime,
} from "../model/stress-mark.ts";

/** Marks that a thread remembers; the one that was learnt first makes room. */
export const MOST_KNOWN = 64;
/** What is said of a mark whose run was stopped before it expired. */
export const STOPPED = "its run was stopped";
/** Signatures that a thread checks at once, and per second. */
export const BURST = 20;
export const PER_SECOND = 50;

export class StressMarks {
  readonly #clock: Clock;
  readonly #wallClock: () => number;
  readonly #known = new Map<string, StressMark>();
  /** By the monotonic clock, so that nobody who sets the other one ends a test. */
  readonly #until = new WeakMap<StressMark, number>();
  #keys: ReadonlyMap<string, KeyObject> = new Map();
  #named = "";
  #stopped: ReadonlySet<string> = new Set();
  #fleet = "";
  #checks = BURST;
  #at: number;

  /** @param wallClock milliseconds since 1970 */
  constructor(clock: Clock, wallClock: () => number) {
    this.#clock = clock;
    this.#wallClock = wallClock;
    this.#at = clock.now();
  }

  /** A key that is taken out ends what it signed. */
  install(fleet: string, settings: StressSettings | undefined): void {
    this.#stopped = new Set(settings?.stopped);
    const named = (settings?.keys ?? []).join(" ");
    if (fleet === this.#fleet && named === this.#named) return;
    this.#fleet = fleet;
    this.#named = named;
    this.#known.clear();
    const keys = (settings?.keys ?? []).map((text) => publicKeyFrom(text)).filter((key) => key !== undefined);
    this.#keys = new Map(keys.map((key) => [keyIdOf(key), key]));
  }

  /** @returns the mark, or what is wrong with it */
  read(text: string): StressMark | string {
    const mark = this.#known.get(text) ?? this.#check(text);
    if (typeof mark === "string") return mark;
    if (this.#hasExpired(mark)) return EXPIRED;
    return this.#stopped.size > 0 && this.#stopped.has(mark.run) ? STOPPED : mark;
  }

  /** Whether a mark that was read here holds no longer. */
  isOver(mark: StressMark): boolean {
    return this.#stopped.has(mark.run) || this.#hasExpired(mark);
  }

  #hasExpired(mark: StressMark): boolean {
    return this.#clock.now() >= this.#until.get(mark)!;
  }

  /** What is cheap comes first. */
  #check(text: string): StressMark | string {
    const mark = readMark(text);
    if (mark === undefined) return "it is no mark; expected one that tidegate stress mark printed, once";
    const key = this.#keys.get(mark.kid);
    if (key === undefined) return "it was signed with a key that this gateway does not know";
    if (mark.fleet !== this.#fleet) return "it is a mark of another fleet";
    const now = this.#wallClock();
    const wrong = wrongTime(mark, now);
    if (wrong !== undefined) return wrong;
    if (!this.#mayCheck()) return "too many marks that nobody knew came at once; come again in a second";
    if (!isSigned(mark, key)) return "its signature is wrong";
    if (this.#known.size >= MOST_KNOWN) {
      for (const first of this.#known.keys()) {
        this.#known.delete(first);
        break;
      }
    }
    this.#known.set(text, mark);
    this.#until.set(mark, this.#clock.now() + mark.expires - now);
    return mark;
  }

  #mayCheck(): boolean {
    const now = this.#clock.now();
    this.#checks = Math.min(BURST, this.#checks + ((now - this.#at) / 1_000) * PER_SECOND);
    this.#at = now;
    if (this.#checks < 1) return false;
    this.#checks--;
    return true;
  }
}
