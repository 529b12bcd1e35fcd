/** What a case came to: figures, with the bounds that they are promised to keep. */
import { MOST_LAG } from "../load/tally.ts";

export interface Figure {
  readonly name: string;
  /** Infinity is never, NaN is unknown. */
  readonly value: number;
  readonly in: "%" | "ms" | "s" | "x" | "/s" | "";
  readonly least?: number;
  readonly most?: number;
}

export interface Outcome {
  readonly scenario: string;
  readonly case: string;
  readonly protect: boolean;
  readonly figures: readonly Figure[];
  /** The generator's own, p99 (ms). */
  readonly lag: number;
}

/** @throws RangeError when there is no such figure */
export function figureOf(outcome: Outcome, name: string): number {
  const figure = outcome.figures.find((f) => f.name === name);
  if (figure === undefined) throw new RangeError(`there is no figure ${name}`);
  return figure.value;
}

export function isMissed({ value, least, most }: Figure): boolean {
  return (least !== undefined && !(value >= least)) || (most !== undefined && !(value <= most));
}

/** Bounds are promised with protection only. */
export function missedOf(outcome: Outcome): readonly Figure[] {
  return outcome.protect ? outcome.figures.filter(isMissed) : [];
}

/** The load came too late to say much. */
export function isBlurred(outcome: Outcome): boolean {
  return outcome.lag > MOST_LAG;
}

export function show({ value, in: unit }: Figure): string {
  if (Number.isNaN(value)) return "–";
  if (value === Number.POSITIVE_INFINITY) return "never";
  if (unit === "%") return `${(value * 100).toFixed(1)} %`;
  if (unit === "/s" || unit === "") return value.toFixed(0);
  return unit === "ms" ? `${value.toFixed(1)} ms` : `${value.toFixed(2)} ${unit === "x" ? "×" : unit}`;
}

/** In words, for tests that fail and for those who only read. */
export function describe(outcome: Outcome): string {
  const figures = outcome.figures.map((f) => `${f.name} ${show(f)}`).join(", ");
  return `${outcome.scenario}, ${outcome.case}, ${outcome.protect ? "protected" : "unprotected"}: ${figures}, lag ${outcome.lag.toFixed(1)} ms`;
}
