/** How each gateway stands, and whether a drained unit is empty: by what they report. Pure. */
import type { Unit } from "../model/fleet.ts";
import { type KnownGateway, SILENT } from "./publish/gateways.ts";

/**
 * `serves` the newest revision, is `behind`, or `refuses` it; is connected but `silent`, so that nobody knows; or is
 * `gone`, and may serve on all the same.
 */
export type GatewayState = "serves" | "behind" | "refuses" | "silent" | "gone";

/** Names in one answer, at most. */
const MOST_NAMES = 20;
/** Requests per second that are none: somebody's probe. */
const NONE = 1;

export interface GatewayStanding {
  readonly gateway: string;
  readonly state: GatewayState;
  readonly connected: boolean;
  /** Milliseconds since 1970, of its last report or acknowledgement. */
  readonly heardAt: number;
  /** Since then. */
  readonly silence: number;
  readonly epoch: number;
  readonly revision: number;
  readonly refused: { readonly revision: number; readonly reasons: readonly string[] } | null;
  /** Of all units together; null: it has reported nothing. */
  readonly rate: number | null;
  readonly inflight: number | null;
  /** Units that it sees, and those of them that it holds for unhealthy. */
  readonly units: number | null;
  readonly unhealthy: readonly string[];
}

/** @param silence milliseconds since it was heard of */
export function gatewayStandings(
  known: readonly KnownGateway[],
  newest: number,
  silence: (gateway: KnownGateway) => number,
): GatewayStanding[] {
  return known.map((one) => {
    const { name: gateway, connected, heardAt, epoch, revision, refused, report } = one;
    const views = report === undefined ? undefined : Object.entries(report.units);
    const sum = (of: "rate" | "inflight"): number | null =>
      views === undefined ? null : views.reduce((total, [, view]) => total + view[of], 0);
    const silent = silence(one);
    return {
      ...{ gateway, state: stateOf(one, newest, silent), connected, heardAt, silence: silent },
      ...{ epoch, revision, refused: refused ?? null, rate: sum("rate"), inflight: sum("inflight") },
      units: views?.length ?? null,
      unhealthy: (views ?? []).flatMap(([name, { healthy }]) => (healthy ? [] : [name])).slice(0, MOST_NAMES),
    };
  });
}

function stateOf(
  { connected, revision, refused }: KnownGateway,
  newest: number,
  silent: number,
): GatewayState {
  if (!connected) return "gone";
  if (silent > SILENT) return "silent";
  if (refused !== undefined && refused.revision > revision) return "refuses";
  return revision < newest ? "behind" : "serves";
}

/** How far a drain has come. */
export interface DrainStanding {
  readonly unit: string;
  /** Which drain: when it was laid. */
  readonly since: number;
  /** The least that any gateway has moved, 0 to 1; null: none says anything. */
  readonly moved: number | null;
  readonly rate: number | null;
  readonly inflight: number | null;
  /** Every gateway that is connected has moved everybody, nothing is under way, and nothing comes. */
  readonly empty: boolean;
  /** Gateways that are connected and say nothing of it now: some of them, by name. */
  readonly unknown: readonly string[];
  /** Those that are not connected: what they send there nobody knows. */
  readonly gone: readonly string[];
}

/** @param silence milliseconds since it was heard of */
export function drainStandings(
  units: readonly Unit[],
  known: readonly KnownGateway[],
  silence: (gateway: KnownGateway) => number,
): DrainStanding[] {
  const gone = known.filter(({ connected }) => !connected).map(({ name }) => name);
  return units.flatMap(({ name: unit, drain }) => {
    if (drain === undefined) return [];
    const connected = known.filter((gateway) => gateway.connected);
    const says = (gateway: KnownGateway): boolean =>
      gateway.report?.units[unit] !== undefined && silence(gateway) <= SILENT;
    const unknown = connected.filter((gateway) => !says(gateway)).map(({ name }) => name);
    const views = connected.filter(says).map(({ report }) => report!.units[unit]!);
    const sum = (of: "rate" | "inflight"): number | null =>
      views.length === 0 ? null : views.reduce((total, view) => total + view[of], 0);
    const moved = views.length === 0 ? null : Math.min(...views.map(({ drained }) => drained));
    const [rate, inflight] = [sum("rate"), sum("inflight")];
    return [
      {
        ...{ unit, since: drain.since, moved, rate, inflight },
        empty: moved === 1 && unknown.length === 0 && inflight === 0 && rate! < NONE,
        unknown: unknown.slice(0, MOST_NAMES),
        gone: gone.slice(0, MOST_NAMES),
      },
    ];
  });
}
