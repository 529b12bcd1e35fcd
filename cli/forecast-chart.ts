/** A forecast's day as a picture that needs nothing beside itself: the fleet against its capacity, and each unit. */
import { endOf, type Forecast, formatTime } from "../model/forecast/forecast.ts";
import type { Outlook, UnitOutlook } from "../model/forecast/outlook.ts";

const [WIDTH, LEFT, RIGHT, TOP, HEIGHT, GAP] = [960, 72, 128, 44, 220, 56];
const PLOT = WIDTH - LEFT - RIGHT;
const BOTTOM = TOP + 2 * HEIGHT + GAP;
/** More units than this are thin lines without a name. */
const NAMED = 8;
/** Differ in brightness as well, and the dashes tell apart whom colours do not. */
const DASHES = ["", "6 3", "2 2", "8 3 2 3", "12 4", "1 3", "4 4", "10 2 2 2"];

/** Colours for a light and a dark page; each has 3 : 1 against its background at least. */
const STYLE = `
.fc{--bg:#fff;--ink:#1b1f24;--dim:#57606a;--grid:#d0d7de;--area:#0969da;--bad:#cf222e;--c0:#0969da;--c1:#bc4c00;--c2:#1a7f37;--c3:#8250df;--c4:#bf3989;--c5:#7d4e00;--c6:#0a7d91;--c7:#57606a;
font:13px system-ui,sans-serif;background:var(--bg);color:var(--ink)}
@media(prefers-color-scheme:dark){.fc{--bg:#0d1117;--ink:#e6edf3;--dim:#9198a1;--grid:#30363d;--area:#58a6ff;--bad:#ff7b72;--c0:#58a6ff;--c1:#f0883e;--c2:#3fb950;--c3:#bc8cff;--c4:#f778ba;--c5:#d29922;--c6:#39c5cf;--c7:#9198a1}}
.fc text{fill:var(--ink)}.fc .dim{fill:var(--dim)}.fc .grid{stroke:var(--grid);fill:none}.fc .bad{stroke:var(--bad);fill:none;stroke-dasharray:8 4;stroke-width:1.5}
.fc .stretch{fill:var(--bad);opacity:.18}.fc .area{fill:var(--area);opacity:.35;stroke:none}.fc .line{fill:none;stroke-width:1.8}.fc .many{stroke:var(--dim);fill:none;opacity:.5;stroke-width:1}.fc .peak{stroke:var(--ink);stroke-dasharray:2 3}
.fc .bg{fill:var(--bg)}`;

export function chartOf(forecast: Forecast, outlook: Outlook, title: string): string {
  const { times, zone } = forecast;
  const [begin, end] = [times[0]!, endOf(forecast, times.length - 1)];
  const x = (at: number): number => LEFT + ((at - begin) / (end - begin)) * PLOT;
  const { peak, capacity, rps, units, stretches } = outlook;
  const most = ceiling(Math.max(peak.rps, capacity ?? 0));
  const shares = units.flatMap((unit) =>
    unit.capacity === undefined ? [] : [{ unit, most: unit.peak.rps / unit.capacity }],
  );
  const mostShare = Math.max(1.2, ceiling(Math.max(0, ...shares.map((one) => one.most))));
  const [first, second] = [TOP + HEIGHT, TOP + 2 * HEIGHT + GAP];
  const y = (value: number, of: number, floor: number): number => floor - (value / of) * HEIGHT;
  const steps = (valueAt: (index: number) => number, of: number, floor: number): string =>
    path(times, valueAt, x, (value) => y(value, of, floor), end);
  const parts: string[] = [];
  for (const { from, to } of stretches) {
    for (const floor of [first, second]) {
      const width = Math.max(1.5, x(to) - x(from));
      parts.push(
        `<rect class="stretch" x="${n(x(from))}" y="${floor - HEIGHT}" width="${n(width)}" height="${HEIGHT}"/>`,
      );
    }
  }
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    parts.push(gridLine(y(share, 1, first), thousands(most * share)));
    parts.push(gridLine(y(share, 1, second), `${Math.round(mostShare * share * 100)} %`));
  }
  parts.push(...hours(begin, end, zone, x));
  const curve = steps((i) => rps[i]!, most, first);
  parts.push(
    `<path class="area" d="${curve}V${first}H${LEFT}Z"/>`,
    `<path class="line" stroke="var(--area)" d="${curve}"/>`,
  );
  if (capacity !== undefined) {
    parts.push(level(y(capacity, most, first), `capacity ${thousands(capacity)}`));
    const largest = units.reduce((a, b) => ((b.capacity ?? 0) > (a.capacity ?? 0) ? b : a));
    const left = capacity - largest.capacity!;
    if (units.length > 1) parts.push(level(y(left, most, first), `without ${largest.unit}`));
  }
  parts.push(
    `<path class="bad" d="M${LEFT} ${n(y(1, mostShare, second))}h${PLOT}"/>`,
    `<text x="${LEFT + 6}" y="${n(y(1, mostShare, second) - 5)}">all it bears</text>`,
  );
  const fullest = [...shares].sort((a, b) => b.most - a.most).map(({ unit }) => unit);
  for (const unit of fullest.slice(NAMED)) {
    parts.push(`<path class="many" d="${steps(shareOf(unit), mostShare, second)}"/>`);
  }
  for (const [i, unit] of fullest.slice(0, NAMED).entries()) {
    const dash = DASHES[i] === "" ? "" : ` stroke-dasharray="${DASHES[i]}"`;
    parts.push(
      `<path class="line" stroke="var(--c${i})"${dash} d="${steps(shareOf(unit), mostShare, second)}"/>`,
    );
    const at = second - HEIGHT + 18 + i * 20;
    parts.push(
      `<path class="line" stroke="var(--c${i})"${dash} d="M${WIDTH - RIGHT + 12} ${at - 4}h26"/>`,
      `<text x="${WIDTH - RIGHT + 44}" y="${at}">${escaped(unit.unit)}</text>`,
    );
  }
  if (fullest.length > NAMED) {
    parts.push(
      `<text class="dim" x="${WIDTH - RIGHT + 12}" y="${second - HEIGHT + 18 + NAMED * 20}">and ${fullest.length - NAMED} more</text>`,
    );
  }
  parts.push(`<path class="peak" d="M${n(x(peak.at))} ${TOP - 6}V${second}"/>`);
  const anchor = x(peak.at) > LEFT + PLOT * 0.6 ? "end" : "start";
  const shift = anchor === "end" ? -6 : 6;
  parts.push(
    `<text x="${n(x(peak.at) + shift)}" y="${TOP + 8}" text-anchor="${anchor}">${thousands(peak.rps)} rps at ${formatTime(peak.at, zone).slice(11, 16)}</text>`,
  );
  const says = describe(forecast, outlook);
  return `<svg class="fc" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${BOTTOM + 40}" role="img" aria-labelledby="fc-title fc-desc">
<title id="fc-title">${escaped(title)}</title><desc id="fc-desc">${escaped(says)}</desc><style>${STYLE}</style>
<rect class="bg" width="${WIDTH}" height="${BOTTOM + 40}"/>
<text x="${LEFT}" y="20" font-size="15" font-weight="600">${escaped(title)}</text>
<text class="dim" x="${LEFT}" y="${TOP - 8}">requests per second, the fleet</text>
<text class="dim" x="${LEFT}" y="${second - HEIGHT - 8}">each unit, of what it bears</text>
${parts.join("\n")}
<text class="dim" x="${LEFT}" y="${BOTTOM + 34}">${formatTime(begin, zone)} to ${formatTime(end, zone)}; red: does not fit</text>
</svg>
`;
}

/** What the picture shows, for whoever does not see it. */
export function describe({ zone }: Forecast, { peak, capacity, units, stretches }: Outlook): string {
  const whole = capacity === undefined ? "" : ` of ${Math.round(capacity)} that the fleet bears`;
  const each = [...units]
    .filter((unit) => unit.headroom !== undefined)
    .sort((a, b) => a.headroom! - b.headroom!)
    .slice(0, NAMED)
    .map(({ unit, headroom }) => `${unit} ${((1 - headroom!) * 100).toFixed(1)} %`);
  const fits =
    stretches.length === 0
      ? "Everything fits."
      : `It does not fit ${stretches
          .map(({ from, to }) => `from ${formatTime(from, zone)} to ${formatTime(to, zone)}`)
          .slice(0, 10)
          .join(", ")}.`;
  return `The most is ${Math.round(peak.rps)} requests per second${whole}, at ${formatTime(peak.at, zone)}. At their fullest: ${each.join(", ")}. ${fits}`;
}

function shareOf({ rps, capacity }: UnitOutlook): (index: number) => number {
  return (index) => rps[index]! / capacity!;
}

/** Steps, and of more times than there are pixels the highest in each. */
function path(
  times: readonly number[],
  valueAt: (index: number) => number,
  x: (at: number) => number,
  y: (value: number) => number,
  end: number,
): string {
  const columns = new Map<number, number>();
  for (let i = 0; i < times.length; i++) {
    const column = Math.floor(x(times[i]!) * 2);
    columns.set(column, Math.max(columns.get(column) ?? 0, valueAt(i)));
  }
  let made = "";
  for (const [column, value] of columns) {
    const [at, height] = [n(column / 2), n(y(value))];
    made += made === "" ? `M${at} ${height}` : `H${at}V${height}`;
  }
  return `${made}H${n(x(end))}`;
}

function hours(begin: number, end: number, zone: number, x: (at: number) => number): string[] {
  const HOUR = 3_600_000;
  const every = [1, 2, 3, 6, 12, 24, 48, 168].find((hours) => (end - begin) / (hours * HOUR) <= 12) ?? 720;
  const offset = zone * 60_000;
  const marks: string[] = [];
  for (
    let at = Math.ceil((begin + offset) / (every * HOUR)) * every * HOUR - offset;
    at < end;
    at += every * HOUR
  ) {
    const text = every >= 24 ? formatTime(at, zone).slice(5, 10) : formatTime(at, zone).slice(11, 16);
    marks.push(
      `<path class="grid" d="M${n(x(at))} ${TOP}V${TOP + HEIGHT}M${n(x(at))} ${BOTTOM - HEIGHT}V${BOTTOM}"/>`,
      `<text class="dim" x="${n(x(at))}" y="${BOTTOM + 16}" text-anchor="middle">${text}</text>`,
    );
  }
  return marks;
}

function gridLine(at: number, text: string): string {
  return `<path class="grid" d="M${LEFT} ${n(at)}h${PLOT}"/><text class="dim" x="${LEFT - 8}" y="${n(at + 4)}" text-anchor="end">${text}</text>`;
}

function level(at: number, text: string): string {
  return `<path class="bad" d="M${LEFT} ${n(at)}h${PLOT}"/><text x="${WIDTH - RIGHT + 6}" y="${n(at + 4)}">${escaped(text)}</text>`;
}

/** The next number that people would put at the end of an axis. */
function ceiling(value: number): number {
  const size = 10 ** Math.floor(Math.log10(Math.max(value, 1e-3)));
  return (
    [1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10]
      .map((step) => step * size)
      .find((step) => step >= value * 1.04) ?? 20 * size
  );
}

function thousands(value: number): string {
  return value < 10
    ? `${Number(value.toFixed(1))}`
    : Math.round(value)
        .toString()
        .replace(/\B(?=(\d{3})+$)/g, ",");
}

function n(value: number): string {
  return `${Number(value.toFixed(1))}`;
}

export function escaped(text: string): string {
  return text
    .replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)
    .replace(/[\x00-\x08\x0b-\x1f\x7f]/g, "?");
}
