/** What was seen of one thing since the page was opened, second by second, in a bounded piece of memory. */

/** Seconds. */
export const KEPT = 300;

export interface Point {
  readonly rps: number | null;
  /** 0 to 1. */
  readonly success: number | null;
  /** Milliseconds. */
  readonly p50: number | null;
  readonly p99: number | null;
}

const WIDTH = 4;

/** Series of one name each, that share their moments. */
export class History {
  /** Seconds since 1970, oldest first. */
  #times: number[] = [];
  #rows = new Map<string, Float32Array>();
  #next = 0;

  /** @param at milliseconds since 1970 */
  add(at: number, points: Iterable<readonly [name: string, point: Point]>): void {
    const second = Math.floor(at / 1000);
    const isSame = this.#times.at(-1) === second;
    // A clock that went back: what was before would be drawn over.
    if (!isSame && second < (this.#times.at(-1) ?? 0)) this.#forget();
    if (!isSame) {
      this.#times.push(second);
      if (this.#times.length > KEPT) this.#times.shift();
      this.#next = (this.#next + 1) % KEPT;
    }
    const place = (this.#next + KEPT - 1) % KEPT;
    if (!isSame)
      for (const row of this.#rows.values()) row.fill(Number.NaN, place * WIDTH, (place + 1) * WIDTH);
    for (const [name, { rps, success, p50, p99 }] of points) {
      let row = this.#rows.get(name);
      if (row === undefined) {
        row = new Float32Array(KEPT * WIDTH).fill(Number.NaN);
        this.#rows.set(name, row);
      }
      const values = [rps, success, p50, p99];
      for (let i = 0; i < WIDTH; i++) row[place * WIDTH + i] = values[i] ?? Number.NaN;
    }
  }

  /** Of one series: moments, and for each field its values, null where nothing was known. */
  of(name: string): { readonly times: number[]; readonly fields: (number | null)[][] } {
    const times = [...this.#times];
    const row = this.#rows.get(name);
    const fields = Array.from({ length: WIDTH }, (_, field) =>
      times.map((_, i) => {
        const place = (this.#next + KEPT - times.length + i) % KEPT;
        const value = row?.[place * WIDTH + field] ?? Number.NaN;
        return Number.isNaN(value) ? null : value;
      }),
    );
    return { times, fields };
  }

  #forget(): void {
    this.#times = [];
    this.#rows = new Map();
    this.#next = 0;
  }
}
