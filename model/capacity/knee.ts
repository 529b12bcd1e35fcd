/**
 * Searches the knee: the highest rate at which a unit's answers stay good and quick. Pure: it says which rate to try, and
 * hears whether it held.
 *
 * A ramp in steps finds two rates with the knee between them, bisection brings them together, and then it is done again
 * from near the knee, several times: what comes out differently says how far the figure can be trusted. One probe that did
 * not hold may have been this machine's fault, so it is made again before it is believed,
 * and the rate above a find once more at the end.
 */

export interface KneeOptions {
  /** Requests per second: where the ramp begins, and the most that is tried. */
  readonly from: number;
  readonly to: number;
  /** Two rates that are so close are one: 0.03 is three in a hundred. */
  readonly precision?: number;
  /** How often it is searched. */
  readonly repeats?: number;
}

export interface Probe {
  readonly rate: number;
  /** Ramps are only to find out where to look. */
  readonly phase: "ramp" | "bisect";
  /** The probe before it was more than the unit bears: it has to get well first. */
  readonly isAfterTooMuch: boolean;
}

export interface Knee {
  /** Requests per second; the median of what was found. */
  readonly rate: number;
  /** Share of the rate by which it may be wrong: half of what lies between the finds, or between the last two rates. */
  readonly error: number;
  /** Every find. */
  readonly finds: readonly number[];
  readonly probes: number;
  /** The most that was tried held: the knee is above. */
  readonly isAbove: boolean;
}

const STEP = 1.6;
const PRECISION = 0.03;
const REPEATS = 3;
/** Around a find the next search begins. */
const AROUND = 1.15;
const MOST_PROBES = 80;

export class KneeSearch {
  readonly #options: Required<KneeOptions>;
  readonly #finds: number[] = [];
  #phase: "ramp" | "bisect" = "ramp";
  /** The highest rate that held in this search, and the lowest that did not. */
  #low = 0;
  #high: number | undefined;
  #rate: number;
  #failed = 0;
  #isVerifying = false;
  #probes = 0;
  #wasTooMuch = false;
  #isDone = false;
  #isAbove = false;

  /** @throws RangeError */
  constructor({ from, to, precision = PRECISION, repeats = REPEATS }: KneeOptions) {
    if (!(from > 0 && to >= from && precision > 0 && repeats >= 1)) {
      throw new RangeError(
        `from ${from} to ${to} is no range; expected a rate above 0, and one that is not lower`,
      );
    }
    this.#options = { from, to, precision, repeats };
    this.#rate = from;
  }

  /** Undefined: it is found. */
  get next(): Probe | undefined {
    if (this.#isDone) return undefined;
    return { rate: this.#rate, phase: this.#phase, isAfterTooMuch: this.#wasTooMuch };
  }

  /** Hears of the probe that was asked for. */
  take(held: boolean): void {
    if (this.#isDone) throw new RangeError("nothing was asked for");
    this.#probes++;
    this.#wasTooMuch = !held;
    if (this.#probes >= MOST_PROBES) this.#isDone = true;
    if (this.#isVerifying) {
      this.#verified(held);
      return;
    }
    if (!held && ++this.#failed < 2) return;
    this.#failed = 0;
    if (held) this.#low = Math.max(this.#low, this.#rate);
    else this.#high = Math.min(this.#high ?? Number.POSITIVE_INFINITY, this.#rate);
    this.#advance();
  }

  /** What is above the find was too much again; or it was not, and the knee is further up. */
  #verified(held: boolean): void {
    this.#isVerifying = false;
    if (held) {
      this.#low = this.#high!;
      this.#high = undefined;
      this.#advance();
      return;
    }
    this.#finds.push(Math.sqrt(this.#low * this.#high!));
    if (this.#finds.length >= this.#options.repeats) this.#isDone = true;
    else this.#again();
  }

  /** Undefined while nothing is found; not even the ramp's beginning may have held. */
  get knee(): Knee | undefined {
    const finds = this.#isAbove && this.#finds.length === 0 ? [this.#options.to] : this.#finds;
    if (finds.length === 0) return undefined;
    const sorted = finds.toSorted((a, b) => a - b);
    const rate = sorted[Math.floor((sorted.length - 1) / 2)]!;
    const spread = (sorted.at(-1)! - sorted[0]!) / 2 / rate;
    return {
      rate,
      error: Math.max(spread, this.#options.precision / 2),
      finds,
      probes: this.#probes,
      isAbove: this.#isAbove,
    };
  }

  #advance(): void {
    const { from, to, precision } = this.#options;
    const [low, high] = [this.#low, this.#high];
    if (high === undefined) {
      if (low >= to) {
        this.#isAbove = true;
        this.#isDone = true;
        return;
      }
      this.#rate = Math.min(to, low * (this.#phase === "ramp" ? STEP : AROUND));
      return;
    }
    if (low === 0) {
      // A later search began too high, or noise did: lower, until something holds.
      this.#rate = high / (this.#finds.length === 0 ? STEP : AROUND);
      if (this.#rate < from / STEP ** 3) this.#isDone = true;
      return;
    }
    this.#phase = "bisect";
    // What held below may not have been repeated where something higher did not: the lower one counts.
    if (low >= high) this.#low = high / AROUND;
    if (high / this.#low <= 1 + precision) {
      this.#isVerifying = true;
      this.#rate = high;
      return;
    }
    this.#rate = Math.sqrt(this.#low * high);
  }

  #again(): void {
    const { to } = this.#options;
    const last = this.#finds.at(-1)!;
    this.#low = 0;
    this.#high = undefined;
    this.#rate = Math.min(to, last / AROUND);
  }
}
