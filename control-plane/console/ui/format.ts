/** Quantities as people read them. */

const DASH = "–";

export function rateText(value: number | null | undefined): string {
  if (value === null || value === undefined) return DASH;
  if (value >= 10_000) return `${trim(value / 1000, value >= 100_000 ? 0 : 1)}k`;
  return trim(value, value < 10 ? 1 : 0);
}

/** @param share 0 to 1. What is not quite all is never told as all. */
export function percentText(share: number | null | undefined): string {
  if (share === null || share === undefined) return DASH;
  const percent = share * 100;
  if (percent === 100 || percent === 0) return `${percent} %`;
  const digits = percent > 99 ? 2 : percent < 10 ? 1 : 0;
  const scale = 10 ** digits;
  return `${percent > 99 ? Math.floor(percent * scale) / scale : trim(percent, digits)} %`;
}

/** @param value milliseconds */
export function latencyText(value: number | null | undefined): string {
  if (value === null || value === undefined) return DASH;
  if (value >= 10_000) return `${trim(value / 1000, 0)} s`;
  if (value >= 1000) return `${trim(value / 1000, 1)} s`;
  return `${trim(value, value < 10 ? 1 : 0)} ms`;
}

/** @param value milliseconds */
export function durationText(value: number): string {
  const seconds = Math.max(0, Math.round(value / 1000));
  if (value > 0 && value < 1000) return `${Math.round(value)} ms`;
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60)
    return seconds % 60 === 0 || minutes >= 10 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return `${Math.round(hours / 24)} d`;
}

/** @param at milliseconds since 1970 */
export function momentText(at: number, language: string): string {
  return new Intl.DateTimeFormat(language, {
    ...{ year: "numeric", month: "2-digit", day: "2-digit" },
    ...{ hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false },
  }).format(new Date(at));
}

/** Whatever a field holds, in one line. */
export function valueText(value: unknown): string {
  if (value === undefined) return DASH;
  return typeof value === "string" ? value : JSON.stringify(value);
}

export function trim(value: number, digits: number): string {
  return Number(value.toFixed(digits)).toString();
}
