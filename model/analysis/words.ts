/** Figures as they are read. */

export function figure(n: number): string {
  if (Math.abs(n) >= 1000) return Math.round(n).toLocaleString("en-US");
  return Number(n.toPrecision(3)).toString();
}

export function percent(share: number): string {
  return `${hundredths(share)} %`;
}

/** A difference of shares. */
export function points(share: number): string {
  return `${hundredths(share)} points`;
}

function hundredths(share: number): string {
  const n = share * 100;
  return n !== 0 && Math.abs(n) < 0.1 ? n.toPrecision(2) : n.toFixed(Math.abs(n) < 10 ? 2 : 1);
}

export function inSeconds(seconds: number): string {
  return seconds < 1 ? `${figure(seconds * 1000)} ms` : `${figure(seconds)} s`;
}
