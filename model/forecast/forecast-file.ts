/**
 * Reads `forecast.csv`: `time,route,rps`, sorted by time, at each time one row for each route of the file.
 *
 * Strict, because a forecast that is half read is believed: a route that is missing at midnight would look like an hour
 * without it. It takes the text piece by piece, and no more of it than a bound of rows.
 */
import type { ProblemList } from "../configuration/problem-list.ts";
import { didYouMean } from "../configuration/suggestion.ts";
import { CsvLines, type Field, parseRps, quoted } from "./csv-lines.ts";
import { type Forecast, formatTime, LONGEST_ROW, parseTime } from "./forecast.ts";

export const FORECAST_FILE = "forecast.csv";
/** Rows of one forecast: 1,388 routes by the minute for a day. */
export const MOST_ROWS = 2_000_000;

const HEAD = ["time", "route", "rps"] as const;
/** Names of routes that are not there, each told once. */
const MOST_STRANGERS = 1_000;

export class ForecastFile {
  readonly #lines: CsvLines;
  /** Undefined: any name is a route. */
  readonly #known: ReadonlySet<string> | undefined;
  readonly #mostRows: number;
  readonly #times: number[] = [];
  /** Route → its rates; those of the first time, in its order. */
  readonly #rates = new Map<string, number[]>();
  readonly #strangers = new Set<string>();
  #zone = 0;
  #rows = 0;
  /** Line of each route's row at the time that is being read. */
  readonly #seen = new Map<string, number>();
  #timeText = "";
  /** Undefined while rows of a time that is out of order are passed over. */
  #at: number | undefined;
  #groupLine = 0;

  /** @param known the fleet's routes; undefined takes any name */
  constructor(
    file: string,
    problems: ProblemList,
    known: ReadonlySet<string> | undefined,
    mostRows: number = MOST_ROWS,
  ) {
    this.#known = known;
    this.#mostRows = mostRows;
    this.#lines = new CsvLines(file, HEAD, problems, (fields, line) => this.#row(fields, line));
  }

  /** @returns false when no more is wanted */
  push(text: string): boolean {
    return this.#lines.push(text);
  }

  /** Undefined when something was wrong, which stands among the problems then. */
  end(): Forecast | undefined {
    this.#lines.end();
    this.#endGroup();
    if (this.#times.length === 0 && !this.#lines.isBroken) {
      this.#problem(this.#lines.line, 1, "wrong-row", "there is no row; expected one at least");
    }
    if (this.#lines.isBroken || this.#times.length === 0) return undefined;
    return { zone: this.#zone, times: this.#times, routes: Object.fromEntries(this.#rates) };
  }

  #problem(line: number, column: number, code: string, message: string): void {
    this.#lines.problem(line, column, code, message);
  }

  #row([time, route, rps]: readonly Field[], line: number): boolean {
    if (++this.#rows > this.#mostRows) {
      const message = `there are more than ${this.#mostRows} rows; expected at most that: longer rows, or a shorter time`;
      this.#problem(line, 1, "out-of-range", message);
      return false;
    }
    if (time!.text !== this.#timeText) this.#begin(time!, line);
    const rate = parseRps(rps!.text);
    if (typeof rate === "string") this.#problem(line, rps!.column, "invalid-rate", rate);
    const name = route!.text;
    if (this.#known !== undefined && !this.#known.has(name)) this.#stranger(route!, line, this.#known);
    else if (this.#at !== undefined) this.#take(route!, typeof rate === "string" ? 0 : rate, line);
    return true;
  }

  #begin({ text, column }: Field, line: number): void {
    const before = this.#times.at(-1);
    const parsed = parseTime(text);
    // Another zone may say the same time again.
    if (parsed !== undefined && parsed.at === before && this.#at !== undefined) {
      this.#timeText = text;
      return;
    }
    this.#endGroup();
    this.#timeText = text;
    this.#at = undefined;
    if (parsed === undefined) {
      const expected = "expected a whole minute with its zone, such as 2026-11-11T00:00+08:00";
      this.#problem(line, column, "invalid-time", `${quoted(text)} is no time; ${expected}`);
      return;
    }
    if (before !== undefined && parsed.at <= before) {
      const message = `${quoted(text)} is not after ${formatTime(before, this.#zone)} above it; expected rows in the order of time`;
      this.#problem(line, column, "unsorted-rows", message);
      return;
    }
    if (before === undefined) this.#zone = parsed.zone;
    else if (parsed.at - before > LONGEST_ROW) {
      const message = `nothing is said from ${formatTime(before, this.#zone)} to ${quoted(text)}; expected a row every hour at least`;
      this.#problem(line, column, "forecast-gap", message);
    }
    this.#at = parsed.at;
    this.#times.push(parsed.at);
    this.#groupLine = line;
  }

  #take({ text: name, column }: Field, rps: number, line: number): void {
    const other = this.#seen.get(name);
    if (other !== undefined) {
      const message = `route \`${name}\` has a row for this time on line ${other}; expected one`;
      this.#problem(line, column, "duplicate-row", message);
      return;
    }
    this.#seen.set(name, line);
    let rates = this.#rates.get(name);
    if (rates === undefined) {
      if (this.#known === undefined && !/^[a-z0-9][a-z0-9._-]{0,62}$/.test(name)) {
        this.#problem(line, column, "invalid-name", `${quoted(name)} is no route's name`);
        return;
      }
      if (this.#times.length > 1) {
        const first = formatTime(this.#times[0]!, this.#zone);
        const message = `route \`${name}\` has no row at ${first}, where the forecast begins; expected one for every time, 0 where nothing is asked`;
        this.#problem(line, column, "forecast-gap", message);
      }
      rates = new Array<number>(this.#times.length - 1).fill(0);
      this.#rates.set(name, rates);
    }
    rates.push(rps);
  }

  /** Every route has said something. */
  #endGroup(): void {
    if (this.#at === undefined) return;
    if (this.#seen.size < this.#rates.size) {
      for (const [name, rates] of this.#rates) {
        if (rates.length === this.#times.length) continue;
        rates.push(0);
        const message = `route \`${name}\` has no row at ${formatTime(this.#at, this.#zone)}; expected one for every time, 0 where nothing is asked`;
        this.#problem(this.#groupLine, 1, "forecast-gap", message);
      }
    }
    this.#seen.clear();
  }

  #stranger({ text, column }: Field, line: number, known: ReadonlySet<string>): void {
    this.#lines.isBroken = true;
    if (this.#strangers.has(text) || this.#strangers.size >= MOST_STRANGERS) return;
    this.#strangers.add(text);
    const near = didYouMean(text, known);
    const message = `there is no route ${quoted(text)}${near === "" ? "; expected one of routes.yaml" : near}`;
    this.#problem(line, column, "unknown-route", message);
  }
}

/** A text that is there as a whole. */
export function readForecast(
  file: string,
  text: string,
  problems: ProblemList,
  known: ReadonlySet<string> | undefined,
): Forecast | undefined {
  const reader = new ForecastFile(file, problems, known);
  reader.push(text);
  return reader.end();
}
