/** Chooses among things by their weights: one look for each choice, however many there are. */
export class Chooser {
  readonly #sums: number[] = [];

  /** @param weights not negative; where all are 0 the first is chosen */
  constructor(weights: readonly number[]) {
    let sum = 0;
    for (const weight of weights) {
      sum += weight;
      this.#sums.push(sum);
    }
  }

  /** @param chance from 0 to 1 · @returns a place among the weights; 0 where there are none */
  next(chance: number): number {
    const total = this.#sums.at(-1) ?? 0;
    if (total === 0) return 0;
    const wanted = chance * total;
    let low = 0;
    let high = this.#sums.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (wanted < this.#sums[middle]!) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
