/** What the demo shows, as a pure function of its state: the live view, and the plain line for logs and pipes. */
import type { Asked } from "./keys.ts";
import { styleText } from "node:util";
import type { ClientFigures } from "./traffic.ts";
import type { Failover, UnitFigures } from "./window.ts";

export type Condition = "running" | "starting" | "killed" | "hung" | "slow" | "failing";

export interface EndpointState {
  readonly letter: string;
  readonly port: number;
  /** What the demo did to the process. */
  readonly condition: Condition;
  /** What the gateway thinks of it; undefined before it has said. */
  readonly healthy: boolean | undefined;
}

export interface UnitState {
  readonly name: string;
  readonly digit: string;
  readonly center: boolean;
  readonly endpoints: readonly EndpointState[];
  readonly figures: UnitFigures;
}

export interface DemoEvent {
  /** Seconds since traffic began. */
  readonly at: number;
  readonly text: string;
  readonly tone: "bad" | "good" | "plain";
}

export interface DemoState {
  /** Seconds since traffic began. */
  readonly seconds: number;
  readonly port: number;
  readonly adminPort: number;
  readonly units: readonly UnitState[];
  readonly client: ClientFigures;
  readonly failovers: readonly Failover[];
  /** Requests per second that the gateway answered without a unit. */
  readonly unserved: number;
  /** Oldest first. */
  readonly events: readonly DemoEvent[];
  /** `h` or `s` was pressed: the next digit says which unit. */
  readonly asked: Asked | undefined;
  /** Size of the terminal. */
  readonly columns: number;
  readonly rows: number;
  readonly color: boolean;
}

type Style = Parameters<typeof styleText>[0];
type Paint = (style: Style, text: string) => string;

const NARROWEST = 80;
const WIDEST_BAR = 30;

/** Title and width of each column but the bar; a negative width aligns to the right. */
const COLUMNS = [
  ["  UNIT", 11],
  ["HEALTH", 9],
  ["ENDPOINTS", 13],
  ["PROCESSES", 9],
  ["REQ/S", -6],
  ["SHARE", -5],
  ["OK", -5],
  ["P99", -6],
] as const;
/** The bar stands after this column. */
const SHARE_AT = 5;
const CELLS_WIDTH = COLUMNS.reduce((sum, [, width]) => sum + Math.abs(width), 0);

/** How a terminal's width is shared out. */
interface Layout {
  readonly gap: string;
  readonly bar: number;
}

function layoutOf(columns: number): Layout {
  const width = Math.max(columns, NARROWEST);
  const gap = width >= 100 ? "  " : " ";
  const room = width - 1 - CELLS_WIDTH - gap.length * (COLUMNS.length - 1) - 1;
  return { gap, bar: Math.min(WIDEST_BAR, room) };
}

/** A cell's text before it is padded, and how it is painted after. */
type Cell = readonly [text: string, style?: Style];

function tableLine(cells: readonly Cell[], bar: Cell, { gap }: Layout, paint: Paint): string {
  const texts = cells.map(([text, style], i) => {
    const width = COLUMNS[i]![1];
    const padded = width < 0 ? text.padStart(-width) : text.padEnd(width);
    const painted = style === undefined ? padded : paint(style, padded);
    return i === SHARE_AT ? `${painted} ${paint(bar[1] ?? "reset", bar[0])}` : painted;
  });
  return ` ${texts.join(gap)}`;
}

/** Lines without control sequences but for colour, at most `rows` of them. */
export function view(state: DemoState): string {
  const paint: Paint = state.color
    ? (style, text) => styleText(style, text, { validateStream: false })
    : (_style, text) => text;
  const layout = layoutOf(state.columns);
  const above = [
    header(state, paint),
    "",
    titles(layout, paint),
    ...state.units.map((unit) => row(unit, layout, paint)),
    "",
    client(state, paint),
    gateway(state, paint),
    "",
  ];
  const below = ["", keys(state, paint)];
  const room = Math.max(0, Math.min(12, state.rows - above.length - below.length));
  const events = room === 0 ? [] : state.events.slice(-room);
  return [...above, ...events.map((event) => eventLine(event, paint)), ...below].join("\n");
}

/** One line for a log: no colour, no control sequence. */
export function statusLine(state: DemoState): string {
  const units = state.units.map(({ name, endpoints, figures }) => {
    return `${name} ${health(figures.healthy)} ${upOf(endpoints)} ${figures.rate.toFixed(1)}/s ${percent(figures.share)} ok ${ratio(figures.success)} p99 ${ms(figures.p99)}`;
  });
  const { sent, refusedWrites, failed } = state.client;
  const failovers = state.failovers.reduce((sum, { total }) => sum + total, 0);
  const figures = `sent ${sent}, writes refused ${refusedWrites}, failed ${failed}, failovers ${failovers}`;
  return [`${Math.round(state.seconds)}s`, ...units, figures].join(" | ");
}

export function eventText({ at, text }: DemoEvent): string {
  return `${clock(at)}  ${text}`;
}

function header(state: DemoState, paint: Paint): string {
  const place = `http://127.0.0.1:${state.port}  metrics on :${state.adminPort}/metrics`;
  return ` ${paint("bold", "Tidegate demo")}  ${place}  running ${clock(state.seconds)}`;
}

function titles(layout: Layout, paint: Paint): string {
  const cells = COLUMNS.map(([title]): Cell => [title, "dim"]);
  return tableLine(cells, [" ".repeat(layout.bar)], layout, paint);
}

function row({ name, digit, center, endpoints, figures }: UnitState, layout: Layout, paint: Paint): string {
  const { healthy, rate, share, success, p99 } = figures;
  const processes = conditionOf(endpoints);
  const cells: Cell[] = [
    [`${digit} ${name}${center ? " center" : ""}`],
    [health(healthy), healthy === undefined ? "dim" : healthy ? "green" : "red"],
    [`${endpoints.map(dot).join(" ")} ${upOf(endpoints)}`, healthy === false ? "red" : "reset"],
    [processes, processes === "running" ? "dim" : "yellow"],
    [rate.toFixed(1)],
    [percent(share)],
    [ratio(success), success === undefined || success === 1 ? "reset" : "red"],
    [ms(p99)],
  ];
  return tableLine(cells, [barOf(share, layout.bar), "cyan"], layout, paint);
}

/** `●` healthy, `○` not, in the gateway's eyes. */
function dot({ letter, healthy }: EndpointState): string {
  return letter + (healthy === undefined ? "·" : healthy ? "●" : "○");
}

function upOf(endpoints: readonly EndpointState[]): string {
  return `${endpoints.filter(({ healthy }) => healthy).length}/${endpoints.length}`;
}

export function conditionOf(endpoints: readonly Pick<EndpointState, "condition">[]): string {
  for (const condition of ["starting", "hung", "killed", "slow", "failing"] as const) {
    const n = endpoints.filter((endpoint) => endpoint.condition === condition).length;
    if (n > 0) return n === endpoints.length ? condition : `${n} ${condition}`;
  }
  return "running";
}

function client({ client: figures }: DemoState, paint: Paint): string {
  const { rate, p99, sent, refusedWrites, failed } = figures;
  const parts = [
    `${rate.toFixed(1)} req/s`,
    `p99 ${ms(p99)}`,
    `sent ${sent}`,
    paint(refusedWrites > 0 ? "yellow" : "dim", `writes refused ${refusedWrites}`),
    paint(failed > 0 ? "red" : "green", `failed ${failed}`),
  ];
  return ` ${paint("bold", "client")}   ${parts.join(" · ")}`;
}

function gateway({ failovers, unserved }: DemoState, paint: Paint): string {
  const ways = new Map<string, number>();
  for (const { from, to, total } of failovers) {
    if (total > 0) ways.set(`${from}→${to}`, (ways.get(`${from}→${to}`) ?? 0) + total);
  }
  const told = [...ways].map(([way, total]) => `${way} ${total}`).join(", ") || "none";
  const own = unserved < 0.05 ? "" : ` · answered without a unit ${unserved.toFixed(1)}/s`;
  return ` ${paint("bold", "gateway")}  failovers ${told}${own}`;
}

function eventLine(event: DemoEvent, paint: Paint): string {
  const style: Style = event.tone === "bad" ? "red" : event.tone === "good" ? "green" : "reset";
  return ` ${paint("dim", clock(event.at))}  ${paint(style, event.text)}`;
}

function keys({ units, asked }: DemoState, paint: Paint): string {
  const digits = units.map(({ digit }) => digit).join(" ");
  if (asked !== undefined) {
    const what = asked === "hang" ? "hang or resume" : "slow down or restore";
    return ` ${paint("yellow", `${what} which unit? ${digits}`)}   any other key: none`;
  }
  const letters = units.flatMap(({ endpoints }) => endpoints.map(({ letter }) => letter));
  const range = `${letters[0] ?? ""}–${letters.at(-1) ?? ""}`;
  return [
    ` ${paint("bold", digits)} kill`,
    `${paint("bold", range)} one endpoint`,
    `${paint("bold", "h")} hang`,
    `${paint("bold", "s")} slow`,
    `${paint("bold", "n r")} good, bad canary`,
    `${paint("bold", "q")} quit`,
  ].join("   ");
}

/** Eighths of a block, so that a small change shows. */
function barOf(share: number, width: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * width * 8);
  const rest = eighths % 8;
  const text = "█".repeat(Math.floor(eighths / 8)) + (rest === 0 ? "" : "▏▎▍▌▋▊▉"[rest - 1]);
  return text.padEnd(width);
}

function health(healthy: boolean | undefined): string {
  return healthy === undefined ? "unknown" : healthy ? "healthy" : "unhealthy";
}

function percent(share: number): string {
  return `${Math.round(share * 100)}%`;
}

/** Never rounds a failure away: 99.99 % shows as 99.9 %. */
function ratio(success: number | undefined): string {
  if (success === undefined) return "–";
  return success === 1 ? "100%" : `${(Math.floor(success * 1000) / 10).toFixed(1)}%`;
}

function ms(value: number | undefined): string {
  if (value === undefined) return "–";
  return value >= 1000 ? `${(value / 1000).toFixed(1)} s` : `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}

function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
