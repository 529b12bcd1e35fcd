/** What would make a forecast fit: slots by what units bear, limits by what is expected, and a plan of both for review. */
import type { Config } from "../config.ts";
import { formatSlotRanges, rangesOf } from "../slots.ts";
import { type Forecast, formatTime, loadAt, MINUTE } from "./forecast.ts";
import type { Outlook } from "./outlook.ts";

export interface ProposedUnit {
  readonly unit: string;
  /** What the check took it to bear, where fleet.yaml says something else. */
  readonly capacity?: number;
  readonly slots: number;
  /** As many as leave every unit with the same share of what it bears, at the peak. */
  readonly proposed: number;
}

export interface ProposedLimit {
  readonly limit: string;
  readonly was: number;
  readonly rate: number;
  readonly burst: number;
  /** What it rests on. */
  readonly because: string;
}

export interface ProposedMove {
  readonly slots: string;
  readonly from: string;
  readonly to: string;
}

export interface Proposal {
  readonly units: readonly ProposedUnit[];
  readonly limits: readonly ProposedLimit[];
  /** Only where the day does not fit, and would fit better. */
  readonly moves: readonly ProposedMove[];
}

/** Before the peak, so that a mistake shows while there is little traffic. */
const AHEAD = 30 * MINUTE;
/** Moves that win less than this of a capacity are not worth theirs. */
const WORTH = 0.01;

/** @param spare above what is expected, such as 0.2 */
export function proposalOf(config: Config, forecast: Forecast, outlook: Outlook, spare: number): Proposal {
  const { units, wins } = weightsOf(config, forecast, outlook);
  const limits = outlook.limits.flatMap(
    ({ limit, rate: was, burst, asked, bucket, scope, lost }): ProposedLimit[] => {
      if (scope !== "fleet" || asked === 0) return [];
      const of = bucket === "" ? "" : ` of ${bucket}`;
      const less = lost === undefined ? "" : `, ${upTo(lost.asked)}/s with ${lost.unit} lost`;
      const because = `${upTo(asked)}/s are expected${of}${less}`;
      const rate = roundUp(Math.max(asked * (1 + spare), lost?.asked ?? 0));
      return rate === was ? [] : [{ limit, was, rate, burst: Math.ceil((rate * burst) / was), because }];
    },
  );
  const moves = outlook.stretches.length > 0 && wins > WORTH ? movesOf(config, units) : [];
  return { units, limits, moves };
}

/** @returns besides, how much less of what it bears the fullest unit would be asked */
function weightsOf(
  { fleet, routes }: Config,
  forecast: Forecast,
  outlook: Outlook,
): { units: ProposedUnit[]; wins: number } {
  const { slots, map } = fleet.placement;
  const said = new Map(fleet.units.map(({ name, capacity }) => [name, capacity]));
  const has = new Map(fleet.units.map(({ name }) => [name, 0]));
  for (const unit of map) has.set(unit, has.get(unit)! + 1);
  const kept = outlook.units.map(({ unit, capacity }): ProposedUnit => {
    const measured = capacity === undefined ? undefined : Math.floor(capacity);
    const other = measured === said.get(unit) || measured === undefined ? {} : { capacity: measured };
    return { unit, ...other, slots: has.get(unit)!, proposed: has.get(unit)! };
  });
  const load = loadAt(forecast, outlook.peak.index);
  let sharded = 0;
  for (const { name, scope, degraded } of routes) {
    if (scope === "sharded" && degraded !== true) sharded += load.get(name) ?? 0;
  }
  // A drained unit is somebody's decision, and its load of the moment no guide.
  const isWhole = fleet.units.every(({ drain }) => drain === undefined) && outlook.capacity !== undefined;
  if (!isWhole || sharded === 0) return { units: kept, wins: 0 };
  const other = outlook.units.map(({ rps }, u) =>
    Math.max(0, rps[outlook.peak.index]! - (sharded * kept[u]!.slots) / slots),
  );
  const capacities = outlook.units.map(({ capacity }) => capacity!);
  // The level to which all units fill: what is not sharded stays where it is.
  let [low, high] = [0, (sharded + Math.max(...other)) / Math.min(...capacities) + 1];
  for (let i = 0; i < 100; i++) {
    const level = (low + high) / 2;
    const takes = capacities.reduce((all, capacity, u) => all + Math.max(0, level * capacity - other[u]!), 0);
    if (takes > sharded) high = level;
    else low = level;
  }
  const wanted = capacities.map(
    (capacity, u) => (Math.max(0, high * capacity - other[u]!) / sharded) * slots,
  );
  const proposed = wanted.map(Math.floor);
  const byRest = [...wanted.keys()].sort((a, b) => (wanted[b]! % 1) - (wanted[a]! % 1) || a - b);
  for (let left = slots - proposed.reduce((a, b) => a + b, 0), i = 0; left > 0; left--, i++) {
    proposed[byRest[i % byRest.length]!]!++;
  }
  const worst = (counts: readonly number[]): number =>
    Math.max(...counts.map((count, u) => (other[u]! + (sharded * count) / slots) / capacities[u]!));
  return {
    units: kept.map((unit, u) => ({ ...unit, proposed: proposed[u]! })),
    wins: worst(kept.map((unit) => unit.slots)) - worst(proposed),
  };
}

/** The last slots of those that have too many, to those that have too few. */
function movesOf({ fleet }: Config, units: readonly ProposedUnit[]): ProposedMove[] {
  const moves = new Map<string, { slots: number[]; from: string; to: string }>();
  const needs = units
    .map(({ unit, slots, proposed }) => ({ unit, left: proposed - slots }))
    .filter(({ left }) => left > 0);
  for (const { unit, slots, proposed } of units) {
    const { map } = fleet.placement;
    for (let slot = map.length - 1, left = slots - proposed; slot >= 0 && left > 0; slot--) {
      if (map[slot] !== unit) continue;
      const need = needs.find((one) => one.left > 0);
      if (need === undefined) break;
      need.left--;
      left--;
      const key = `${unit} ${need.unit}`;
      const move = moves.get(key) ?? { slots: [], from: unit, to: need.unit };
      moves.set(key, move);
      move.slots.push(slot);
    }
  }
  return [...moves.values()].map(({ slots, from, to }) => ({
    slots: formatSlotRanges(rangesOf(slots)),
    from,
    to,
  }));
}

/** What adding up leaves behind is no further request. */
function upTo(rps: number): number {
  return Math.ceil(rps - 1e-6);
}

/** To two digits, as a person would write it. */
function roundUp(rps: number): number {
  const size = 10 ** Math.max(0, Math.floor(Math.log10(rps)) - 1);
  return Math.ceil(rps / size - 1e-9) * size;
}

/** A plan for review; undefined when nothing is to be changed. @param source such as the forecast's file */
export function planText(
  { units, limits, moves }: Proposal,
  { zone, times }: Forecast,
  { peak, holds }: Outlook,
  source: string,
): string | undefined {
  if (limits.length + moves.length === 0) return undefined;
  const [at, begin] = [formatTime(peak.at, zone), peak.at - AHEAD];
  const most = `${Math.round(peak.rps)} requests/s at ${at}`;
  const hours = Math.min(72, Math.max(1, Math.ceil((times.at(-1)! + MINUTE - begin) / (60 * MINUTE))));
  const steps = limits.map(
    ({ limit, was, rate, burst, because }) =>
      `- { limit: ${limit}, rate: ${rate}/s, burst: ${burst} }   # was ${Number(was.toFixed(3))}/s; ${because}`,
  );
  const capacities = units.flatMap(({ unit, capacity }) =>
    capacity === undefined ? [] : [`#   ${unit}: { capacity: ${capacity}rps }`],
  );
  const lines = [
    "# yaml-language-server: $schema=../../schema/plan.schema.json",
    "#",
    `# Proposed by \`tidegate forecast check\` from ${source.replace(/[\r\n]/g, " ")}. Review it: nothing runs it by itself.`,
    ...(holds
      ? []
      : [
          "# As it is the fleet does not bear the forecast: see what the check says before you rely on this.",
        ]),
    `summary: Before the peak, ${most}.`,
    ...(capacities.length === 0
      ? []
      : ["# No plan changes what a unit is given. Measured, and for fleet.yaml:", ...capacities]),
    "owner: capacity",
    `trigger: { schedule: { at: "${formatTime(begin, 0).slice(0, 16)}", zone: UTC } }   # ${formatTime(begin, zone)}`,
    "steps:",
    ...(steps.length > 1
      ? ["  - parallel:", ...steps.map((step) => `      ${step}`)]
      : steps.map((step) => `  ${step}`)),
    ...moves.map(({ slots, from, to }) => `  - { move: "${slots}", to: ${to} }   # from ${from}`),
    // Slots are not moved back behind anybody's back.
    `expires: { after: ${hours}h, then: ${moves.length > 0 ? "ask" : "revert"} }`,
  ];
  return `${lines.join("\n")}\n`;
}
