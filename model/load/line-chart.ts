/** Lines over time as an SVG that stands alone: no script, no style sheet, no font from elsewhere. Pure. */

export interface Line {
  readonly name: string;
  readonly colour: string;
  /** By time. Null: nothing is known there, and the line breaks. */
  readonly points: readonly (readonly [at: number, value: number | null])[];
}

export interface ChartOptions {
  readonly title: string;
  /** Of the values. */
  readonly unit: string;
  readonly lines: readonly Line[];
  /** A value that should not be passed. */
  readonly bound?: number;
  /** The least that the axis goes up to, and where it begins. */
  readonly from?: number;
  readonly to?: number;
}

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [720, 220, 64, 16, 34, 28];
const STEPS = 4;

export function lineChart({ title, unit, lines, bound, from = 0, to = 0 }: ChartOptions): string {
  const points = lines.flatMap((line) => line.points);
  const values = points.flatMap(([, value]) => value ?? []);
  const most = niceTop(Math.max(to, bound ?? 0, ...values), from);
  const last = Math.max(1, ...points.map(([at]) => at));
  const x = (at: number): number => LEFT + (at / last) * (WIDTH - LEFT - RIGHT);
  const y = (value: number): number =>
    HEIGHT - BOTTOM - ((value - from) / (most - from || 1)) * (HEIGHT - TOP - BOTTOM);
  const parts = [
    `<text x="${LEFT}" y="16" class="title">${escaped(title)}</text>`,
    ...grid(from, most, unit, y),
    ...timeAxis(last, x),
    ...lines.map((line) => pathOf(line, x, y)),
    ...(bound === undefined
      ? []
      : [`<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${n(y(bound))}" y2="${n(y(bound))}" class="bound"/>`]),
    ...legend(lines),
  ];
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(title)}">${parts.join("")}</svg>`;
}

/** What the classes of a chart look like; light and dark. */
export const CHART_STYLE = `svg{width:100%;height:auto;font:12px system-ui,sans-serif}svg text{fill:currentColor}
svg .title{font-weight:600;font-size:13px}svg .grid{stroke:currentColor;opacity:.15}
svg .bound{stroke:#c62828;stroke-dasharray:5 4}svg .small{font-size:11px;opacity:.75}`;

export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

function grid(from: number, most: number, unit: string, y: (value: number) => number): string[] {
  return Array.from({ length: STEPS + 1 }, (_, i) => {
    const value = from + ((most - from) * i) / STEPS;
    const at = n(y(value));
    return (
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}" class="grid"/>` +
      `<text x="${LEFT - 6}" y="${n(y(value) + 4)}" text-anchor="end" class="small">${escaped(short(value))}${i === STEPS ? ` ${escaped(unit)}` : ""}</text>`
    );
  });
}

function timeAxis(last: number, x: (at: number) => number): string[] {
  return Array.from({ length: STEPS + 1 }, (_, i) => {
    const at = (last * i) / STEPS;
    return `<text x="${n(x(at))}" y="${HEIGHT - 8}" text-anchor="middle" class="small">${escaped(short(at))} s</text>`;
  });
}

function pathOf({ colour, points }: Line, x: (at: number) => number, y: (value: number) => number): string {
  let path = "";
  let isBroken = true;
  for (const [at, value] of points) {
    if (value === null) {
      isBroken = true;
      continue;
    }
    path += `${isBroken ? "M" : "L"}${n(x(at))} ${n(y(value))}`;
    isBroken = false;
  }
  return `<path d="${path}" fill="none" stroke="${escaped(colour)}" stroke-width="2"/>`;
}

function legend(lines: readonly Line[]): string[] {
  return lines.map(({ name, colour }, i) => {
    const at = WIDTH - RIGHT - (lines.length - i) * 92;
    return (
      `<rect x="${at}" y="8" width="10" height="10" fill="${escaped(colour)}"/>` +
      `<text x="${at + 14}" y="17" class="small">${escaped(name)}</text>`
    );
  });
}

/** The next round number above. */
function niceTop(most: number, from: number): number {
  if (!(most > from)) return from + 1;
  const span = most - from;
  const step = 10 ** Math.floor(Math.log10(span));
  const round = [1, 2, 2.5, 5, 10].find((factor) => factor * step >= span) ?? 10;
  return from + round * step;
}

function short(value: number): string {
  return Math.abs(value) >= 1_000
    ? `${Number((value / 1_000).toPrecision(3))}k`
    : `${Number(value.toPrecision(3))}`;
}

function n(value: number): string {
  return value.toFixed(1);
}
