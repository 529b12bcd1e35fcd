/**
 * What was asked and what failed, by route and unit, for longer than the figures are kept: burn rates look back six hours, and
 * a drop is seen against the day before. Cells of 30 s for the last minutes, of 5 min for a day; the latter are stored.
 *
 * Bounds: `MOST` series of three numbers in 313 cells: 15 MiB at the very most.
 */
import { OUTCOME, requestsOf, servedOf } from "../../model/outcome.ts";
import { OTHER } from "../../model/report.ts";
import type { Counted } from "../../model/alerts/burn.ts";
import type { FigureLabels } from "../../model/alerts/facts.ts";
import type { WindowSum } from "../fleet-figures.ts";

const MOST = 2_000;
const FINE = 30_000;
export const COARSE = 300_000;
const DAY = 24 * 3_600_000;
/** One more than the window of a day and its quarter of an hour. */
const COARSE_CELLS = 301;
const FINE_CELLS = 12;
const WIDTH = 3;

interface Cell {
  /** Its start, in lengths of a cell since 1970. */
  readonly at: number;
  /** Milliseconds of which anything is known. */
  known: number;
  counts: Float64Array;
}

/** One cell as it is stored. */
export interface StoredCell {
  readonly at: number;
  readonly known: number;
  readonly series: readonly (readonly [
    route: string,
    unit: string,
    requests: number,
    served: number,
    errors: number,
  ])[];
}

export class History {
  #ids = new Map<string, number>();
  /** A thousand units do not mean a thousand looks at every series. */
  #byUnit = new Map<string, number[]>();
  #byRoute = new Map<string, number[]>();
  readonly #fine: (Cell | undefined)[] = new Array<Cell | undefined>(FINE_CELLS).fill(undefined);
  readonly #coarse: (Cell | undefined)[] = new Array<Cell | undefined>(COARSE_CELLS).fill(undefined);
  /** What windows hold together, made once for each look. */
  #sums = new Map<string, { readonly known: number; readonly counts: Float64Array }>();
  #now = 0;

  /** Whole seconds, each once. @param now milliseconds since 1970, that do not jump */
  add({ series, known }: Pick<WindowSum, "series" | "known">, now: number): void {
    this.look(now);
    if (known === 0) return;
    const cells = [this.#cell(this.#fine, FINE, now), this.#cell(this.#coarse, COARSE, now)];
    for (const cell of cells) cell.known += known;
    for (const { name, row } of series) {
      const id = this.#idOf(name.route, name.unit);
      for (const cell of cells) addTo(cell, id, requestsOf(row), servedOf(row), row[OUTCOME.error]!);
    }
  }

  /** The moment that windows end at from now on. */
  look(now: number): void {
    this.#now = now;
    this.#sums = new Map();
  }

  /** What happened between two moments, in milliseconds before now. */
  counted(from: number, to: number, labels: FigureLabels): Counted {
    const { known, counts } = this.#sum(from, to);
    let [requests, served, errors] = [0, 0, 0];
    const add = (id: number | undefined): void => {
      if (id === undefined || id * WIDTH >= counts.length) return;
      requests += counts[id * WIDTH]!;
      served += counts[id * WIDTH + 1]!;
      errors += counts[id * WIDTH + 2]!;
    };
    const { unit, route } = labels;
    if (unit !== undefined && route !== undefined) add(this.#ids.get(keyOf(route, unit)));
    else if (unit !== undefined) for (const id of this.#byUnit.get(unit) ?? []) add(id);
    else if (route !== undefined) for (const id of this.#byRoute.get(route) ?? []) add(id);
    else for (let id = 0; id < this.#ids.size; id++) add(id);
    return { requests, served, errors, known };
  }

  /** The cell before the one under way, to be stored. */
  closed(now: number): StoredCell | undefined {
    const at = Math.floor(now / COARSE) - 1;
    const cell = this.#coarse[at % COARSE_CELLS];
    if (cell?.at !== at || cell.known === 0) return undefined;
    const series = [...this.#ids].flatMap(([key, id]) => {
      const counts = cell.counts.subarray(id * WIDTH, id * WIDTH + WIDTH);
      if (counts.length === 0 || counts.every((n) => n === 0)) return [];
      const [route = "", unit = ""] = key.split("\n");
      return [[route, unit, counts[0]!, counts[1]!, counts[2]!] as const];
    });
    return { at, known: cell.known, series };
  }

  /** What another process saw, where this one saw less. */
  restore({ at, known, series }: StoredCell): void {
    const place = at % COARSE_CELLS;
    const own = this.#coarse[place];
    if (own !== undefined && (own.at > at || (own.at === at && own.known >= known))) return;
    const cell: Cell = { at, known, counts: new Float64Array(0) };
    for (const [route, unit, requests, served, errors] of series) {
      addTo(cell, this.#idOf(route, unit), requests, served, errors);
    }
    this.#coarse[place] = cell;
    this.#sums = new Map();
  }

  #sum(from: number, to: number): { readonly known: number; readonly counts: Float64Array } {
    const key = `${from} ${to}`;
    const made = this.#sums.get(key);
    if (made !== undefined) return made;
    const isFine = to === 0 && from <= (FINE_CELLS - 1) * FINE;
    const [cells, length] = isFine ? [this.#fine, FINE] : [this.#coarse, COARSE];
    const first = Math.floor((this.#now - from) / length) + 1;
    const last = Math.floor((this.#now - to) / length);
    let known = 0;
    const counts = new Float64Array(this.#ids.size * WIDTH);
    for (const cell of cells) {
      if (cell === undefined || cell.at < first || cell.at > last) continue;
      known += cell.known;
      const most = Math.min(counts.length, cell.counts.length);
      for (let i = 0; i < most; i++) counts[i]! += cell.counts[i]!;
    }
    const sum = { known, counts };
    this.#sums.set(key, sum);
    return sum;
  }

  #cell(cells: (Cell | undefined)[], length: number, now: number): Cell {
    const at = Math.floor(now / length);
    const place = at % cells.length;
    const known = cells[place];
    if (known?.at === at) return known;
    const cell: Cell = { at, known: 0, counts: new Float64Array(0) };
    cells[place] = cell;
    return cell;
  }

  /** What finds no place counts for the whole fleet alone. */
  #idOf(route: string, unit: string): number {
    const key = keyOf(route, unit);
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    if (this.#ids.size >= MOST - 1) this.#sweep();
    const isFull = this.#ids.size >= MOST - 1;
    const [ownRoute, ownUnit] = isFull ? [OTHER, ""] : [route, unit];
    const other = this.#ids.get(keyOf(ownRoute, ownUnit));
    return other ?? this.#place(ownRoute, ownUnit);
  }

  #place(route: string, unit: string): number {
    const id = this.#ids.size;
    this.#ids.set(keyOf(route, unit), id);
    for (const [by, name] of [
      [this.#byUnit, unit],
      [this.#byRoute, route],
    ] as const) {
      const ids = by.get(name) ?? [];
      by.set(name, ids);
      ids.push(id);
    }
    return id;
  }

  /** Routes and units that no cell knows any more give up their places. */
  #sweep(): void {
    const cells = [...this.#fine, ...this.#coarse].filter((cell) => cell !== undefined);
    const used = (id: number): boolean => cells.some(({ counts }) => (counts[id * WIDTH] ?? 0) > 0);
    const kept = [...this.#ids].filter(([, id]) => used(id));
    if (kept.length === this.#ids.size) return;
    for (const cell of cells) {
      const counts = new Float64Array(kept.length * WIDTH);
      for (const [place, [, id]] of kept.entries()) {
        for (let i = 0; i < WIDTH; i++) counts[place * WIDTH + i] = cell.counts[id * WIDTH + i] ?? 0;
      }
      cell.counts = counts;
    }
    [this.#ids, this.#byUnit, this.#byRoute, this.#sums] = [new Map(), new Map(), new Map(), new Map()];
    for (const [key] of kept) {
      const [route = "", unit = ""] = key.split("\n");
      this.#place(route, unit);
    }
  }
}

/** Cells that were closed longer ago say nothing any more. */
export function isOld({ at }: Pick<StoredCell, "at">, now: number): boolean {
  return at * COARSE < now - DAY - 4 * COARSE;
}

const keyOf = (route: string, unit: string): string => `${route}\n${unit}`;

function addTo(cell: Cell, id: number, requests: number, served: number, errors: number): void {
  const at = id * WIDTH;
  if (at + WIDTH > cell.counts.length) {
    const grown = new Float64Array(Math.max(at + WIDTH, Math.min(MOST * WIDTH, cell.counts.length * 2)));
    grown.set(cell.counts);
    cell.counts = grown;
  }
  cell.counts[at]! += requests;
  cell.counts[at + 1]! += served;
  cell.counts[at + 2]! += errors;
}
