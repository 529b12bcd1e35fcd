/**
 * How many different texts there were, in memory that does not grow: counted one by one up to a bound, and beyond it
 * estimated (HyperLogLog; Flajolet et al. 2007, with the hash of 64 bits of Heule et al. 2013), within 1 %.
 */
import { hashKey } from "../hash.ts";

const BITS = 14;
const REGISTERS = 1 << BITS;
const SECOND_SEED = hashKey("distinct");

export class Distinct {
  readonly #most: number;
  /** Open addressing over pairs of 32 bits; 0,0 is free. */
  readonly #table: Uint32Array;
  readonly #registers = new Uint8Array(REGISTERS);
  #count = 0;

  /** @param most texts that are counted one by one */
  constructor(most = 1_000_000) {
    this.#most = most;
    this.#table = new Uint32Array(2 * 2 ** Math.ceil(Math.log2(most * 1.5)));
  }

  /** Whether `size` counts, or estimates. */
  get isExact(): boolean {
    return this.#count <= this.#most;
  }

  get size(): number {
    return this.isExact ? this.#count : this.#estimate();
  }

  add(text: string): void {
    const [high, low] = [hashKey(text), hashKey(text, SECOND_SEED) || 1];
    const register = high >>> (32 - BITS);
    // Leading zeros of what is left: 18 bits of the one, then 32 of the other.
    const rest = (high << BITS) >>> 0;
    const rank = rest === 0 ? 32 - BITS + Math.clz32(low) + 1 : Math.clz32(rest) + 1;
    if (rank > this.#registers[register]!) this.#registers[register] = rank;
    if (!this.isExact) return;
    const mask = this.#table.length / 2 - 1;
    for (let at = low & mask; ; at = (at + 1) & mask) {
      const [a, b] = [this.#table[2 * at]!, this.#table[2 * at + 1]!];
      if (a === high && b === low) return;
      if (a === 0 && b === 0) {
        // The first beyond the bound is not kept, and says that there are more.
        if (++this.#count > this.#most) return;
        this.#table[2 * at] = high;
        this.#table[2 * at + 1] = low;
        return;
      }
    }
  }

  #estimate(): number {
    let [sum, empty] = [0, 0];
    for (const rank of this.#registers) {
      sum += 2 ** -rank;
      if (rank === 0) empty++;
    }
    const raw = ((0.7213 / (1 + 1.079 / REGISTERS)) * REGISTERS * REGISTERS) / sum;
    // While many registers are empty, how many are says more than what is in the others.
    const counted = raw <= 2.5 * REGISTERS && empty > 0 ? REGISTERS * Math.log(REGISTERS / empty) : raw;
    return Math.max(this.#most + 1, Math.round(counted));
  }
}
