/**
 * Whether an error budget is used up too fast: the multi-window, multi-burn-rate rule of the Google SRE Workbook, chapter 5.
 *
 * 14.4 × over an hour uses 2 % of a month's budget, 6 × over six hours 5 %. The short window, a twelfth of the long one, lets
 * the alert end soon after its cause. A window counts what is known of it: after a start the hour is as long as what was seen.
 */

export interface Pair {
  /** Milliseconds. */
  readonly long: number;
  readonly short: number;
  /** Error share ÷ what the objective leaves. */
  readonly factor: number;
  readonly text: string;
}

const MINUTE = 60_000;
export const PAIRS: readonly Pair[] = [
  { long: 60 * MINUTE, short: 5 * MINUTE, factor: 14.4, text: "1h and 5m" },
  { long: 360 * MINUTE, short: 30 * MINUTE, factor: 6, text: "6h and 30m" },
];

export interface Counted {
  readonly requests: number;
  /** Requests that units were to answer. */
  readonly served: number;
  readonly errors: number;
  /** Milliseconds of the window of which anything is known. */
  readonly known: number;
}

export interface Burn {
  /** Undefined: nobody knows. */
  readonly holds: boolean | undefined;
  readonly says: string;
}

/** @param counted what happened in so many milliseconds up to now @param samples requests that the long window has to hold */
export function burns(objective: number, samples: number, counted: (window: number) => Counted): Burn {
  const budget = 1 - objective;
  let unknown = false;
  let fastest = 0;
  for (const { long, short, factor, text } of PAIRS) {
    const [whole, late] = [counted(long), counted(short)];
    if (whole.known === 0 || late.known === 0) {
      unknown = true;
      continue;
    }
    if (whole.served < samples) continue;
    const rates = [whole, late].map(({ served, errors }) => (served === 0 ? 0 : errors / served / budget));
    const rate = Math.min(...rates);
    fastest = Math.max(fastest, rate);
    if (rate >= factor) return { holds: true, says: `the error budget burns ${times(rate)} over ${text}` };
  }
  if (unknown) return { holds: undefined, says: "no data" };
  return { holds: false, says: `the error budget burns ${times(fastest)}` };
}

function times(rate: number): string {
  return `${Number(rate.toPrecision(3))} × as fast as it may`;
}
