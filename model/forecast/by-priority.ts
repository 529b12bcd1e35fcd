/** Rates by priority, most urgent first, as the arithmetic of a forecast has them. */
import { PRIORITIES, type Priority } from "../route.ts";

export const LEVELS = PRIORITIES.length;
/** Less than this is what adding up leaves behind. */
export const NOTHING = 1e-6;

/** Requests per second, where there are any. */
export type ByPriority = Readonly<Partial<Record<Priority, number>>>;

/** What a lane is given of its class. @param asked by class and priority */
export function amountOf(
  asked: Float64Array,
  { class: of, share }: { readonly class: number; readonly share: number },
): Float64Array {
  return asked.slice(of * LEVELS, (of + 1) * LEVELS).map((rps) => rps * share);
}

export function sum(values: Float64Array): number {
  let all = 0;
  for (const value of values) all += value;
  return all;
}

export function addTo(whole: Float64Array, part: Float64Array): void {
  for (let i = 0; i < whole.length; i++) whole[i]! += part[i]!;
}

export function byPriority(values: Float64Array): ByPriority {
  const found: Partial<Record<Priority, number>> = {};
  for (const [i, value] of values.entries()) if (value > NOTHING) found[PRIORITIES[i]!] = value;
  return found;
}
