/**
 * A stretch of time in cells of one length, the oldest of which makes room for the newest. A cell holds what was counted
 * in slices whose middle lies in it; of a slice longer than a few cells nobody knows where it belongs, and it is left out.
 */
import { addLatencies, BUCKETS, type Latencies } from "../model/latency-histogram.ts";
import { OUTCOMES } from "../model/outcome.ts";

/** Numbers of one series in one cell: outcomes, then latencies. */
export const WIDTH = OUTCOMES.length + BUCKETS;
/** A slice may be as long as so many cells. */
const LONGEST = 3;
/** Rows that are made at once. */
const CHUNK = 16;
/** Slices that follow each other this closely (ms) leave nothing out: reports take their time, and not always the same. */
const TOUCHING = 50;

/** A slice, on the clock of whoever keeps the ring. */
export interface Placed {
  readonly gateway: string;
  readonly from: number;
  readonly to: number;
  readonly folded: number;
  readonly series: readonly (readonly [id: number, outcomes: readonly number[], latencies: Latencies])[];
  readonly limited: readonly (readonly [limit: string, n: number])[];
}

type Span = readonly [from: number, to: number];

/** Series → its numbers, many series in one piece of memory. */
class Rows {
  readonly #places = new Map<number, number>();
  readonly #chunks: Uint32Array[] = [];
  #made = 0;

  add(id: number, outcomes: readonly number[], latencies: Latencies): void {
    let place = this.#places.get(id);
    if (place === undefined) {
      place = this.#made++;
      if (place % CHUNK === 0) this.#chunks.push(new Uint32Array(CHUNK * WIDTH));
      this.#places.set(id, place);
    }
    const chunk = this.#chunks[Math.floor(place / CHUNK)]!;
    const at = (place % CHUNK) * WIDTH;
    for (let i = 0; i < outcomes.length; i++) chunk[at + i]! += outcomes[i]!;
    addLatencies(chunk, latencies, at + OUTCOMES.length);
  }

  addTo(sums: Map<number, Float64Array>, wanted: (id: number) => boolean): void {
    for (const [id, place] of this.#places) {
      if (!wanted(id)) continue;
      let sum = sums.get(id);
      if (sum === undefined) {
        sum = new Float64Array(WIDTH);
        sums.set(id, sum);
      }
      const chunk = this.#chunks[Math.floor(place / CHUNK)]!;
      const at = (place % CHUNK) * WIDTH;
      for (let i = 0; i < WIDTH; i++) sum[i]! += chunk[at + i]!;
    }
  }
}

interface Cell {
  /** Its start, in lengths of a cell. */
  readonly at: number;
  /** Stretches that were reported; no two of them touch. */
  spans: Span[];
  readonly rows: Rows;
  readonly limited: Map<string, number>;
  /** Gateway → milliseconds that it reported. */
  readonly covered: Map<string, number>;
  folded: number;
}

/** What a window holds. */
export interface Sum {
  /** Series → its numbers. */
  readonly rows: Map<number, Float64Array>;
  readonly limited: Map<string, number>;
  /** Gateway → milliseconds that it reported. */
  readonly covered: Map<string, number>;
  /** Milliseconds that at least one gateway reported. */
  readonly known: number;
  readonly folded: number;
}

export class FigureRing {
  /** Milliseconds of a cell. */
  readonly length: number;
  readonly #cells: (Cell | undefined)[];

  constructor(length: number, cells: number) {
    this.length = length;
    this.#cells = new Array<Cell | undefined>(cells).fill(undefined);
  }

  add(slice: Placed, now: number): void {
    const { from, to, gateway } = slice;
    if (to - from > LONGEST * this.length) return;
    const at = Math.floor((from + to) / 2 / this.length);
    if (at <= Math.floor(now / this.length) - this.#cells.length) return;
    const cell = this.#cell(at);
    cell.spans = joined([...cell.spans, [from, to]]);
    cell.folded = Math.max(cell.folded, slice.folded);
    cell.covered.set(gateway, (cell.covered.get(gateway) ?? 0) + to - from);
    for (const [limit, n] of slice.limited) cell.limited.set(limit, (cell.limited.get(limit) ?? 0) + n);
    for (const [id, outcomes, latencies] of slice.series) cell.rows.add(id, outcomes, latencies);
  }

  /** Of the newest cells, the one under way among them: never older than as many lengths. */
  sum(cells: number, now: number, wanted: (id: number) => boolean): Sum {
    const last = Math.floor(now / this.length);
    return this.between(last - cells + 1, last, wanted);
  }

  /** Of cells by number, both among them, as far as they are still here. */
  between(first: number, last: number, wanted: (id: number) => boolean): Sum {
    const rows = new Map<number, Float64Array>();
    const limited = new Map<string, number>();
    const covered = new Map<string, number>();
    const spans: Span[] = [];
    let folded = 0;
    for (const cell of this.#cells) {
      if (cell === undefined || cell.at < first || cell.at > last) continue;
      spans.push(...cell.spans);
      folded = Math.max(folded, cell.folded);
      for (const [gateway, span] of cell.covered) covered.set(gateway, (covered.get(gateway) ?? 0) + span);
      for (const [limit, n] of cell.limited) limited.set(limit, (limited.get(limit) ?? 0) + n);
      cell.rows.addTo(rows, wanted);
    }
    const known = joined(spans).reduce((all, [from, to]) => all + to - from, 0);
    return { rows, limited, covered, known, folded };
  }

  #cell(at: number): Cell {
    const { length } = this.#cells;
    const place = ((at % length) + length) % length;
    const known = this.#cells[place];
    if (known?.at === at) return known;
    const cell = { at, spans: [], rows: new Rows(), limited: new Map(), covered: new Map(), folded: 0 };
    this.#cells[place] = cell;
    return cell;
  }
}

/** What spans cover together, by time. */
function joined(spans: Span[]): Span[] {
  const all: Span[] = [];
  for (const span of spans.sort((a, b) => a[0] - b[0])) {
    const last = all.at(-1);
    if (last === undefined || span[0] > last[1] + TOUCHING) all.push(span);
    else all[all.length - 1] = [last[0], Math.max(last[1], span[1])];
  }
  return all;
}
