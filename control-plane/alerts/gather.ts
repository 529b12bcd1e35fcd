/** One moment of the fleet, as rules are held against it: read once for all of them. */
import type { AlertWindow } from "../../model/alerts/alerts.ts";
import type { Facts, FigureLabels } from "../../model/alerts/facts.ts";
import type { Config } from "../../model/config.ts";
import { totalOf } from "../figure.ts";
import type { FleetFigures, WindowSum } from "../fleet-figures.ts";
import { gatewayStandings, type GatewayStanding } from "../fleet-gateways.ts";
import { unitStandings } from "../fleet-units.ts";
import { fleetViews } from "../fleet-views.ts";
import type { Gateways } from "../publish/gateways.ts";
import type { Execution } from "../runbook/execution.ts";
import type { History } from "./history.ts";

/** Milliseconds in which it is told that a rollout was taken back. */
const TOLD_FOR = 3_600_000;

export interface Sources {
  readonly figures: FleetFigures;
  readonly gateways: Gateways;
  readonly history: History;
  readonly unfit: ReadonlyMap<string, string>;
  readonly executions: readonly Execution[];
  readonly rehearsals: ReadonlyMap<string, number>;
}

/** @param revision the newest */
export function gather(
  { figures, gateways, history, unfit, executions, rehearsals }: Sources,
  config: Config,
  revision: number,
  now: number,
): Facts {
  const live = gateways.live();
  const reports = live.flatMap(({ report }) => report ?? []);
  const { units } = config.fleet;
  const windows = new Map<AlertWindow, Indexed>();
  const recent = figures.sum("10s");
  const standings = gatewayStandings(gateways.list(), revision, (one) => gateways.silence(one));
  return {
    now,
    figure: (window, labels) => {
      let indexed = windows.get(window);
      if (indexed === undefined) {
        indexed = new Indexed(window === "10s" ? recent : figures.sum(window));
        windows.set(window, indexed);
      }
      return indexed.figure(labels);
    },
    counted: (from, to, labels) => history.counted(from, to, labels),
    healthy: new Map(
      unitStandings(units, live).map(({ unit, healthy }) => [unit, healthy === null ? undefined : healthy]),
    ),
    drained: new Set(units.flatMap(({ name, drain }) => (drain === undefined ? [] : [name]))),
    gateways: live.length,
    standings: standings.map((one) => ({
      gateway: one.gateway,
      state: one.state === "silent" ? "gone" : one.state,
      says: saysOf(one, revision),
    })),
    breakers: reports.length === 0 ? undefined : (fleetViews(reports)?.breakers ?? []),
    limited:
      recent.known === 0
        ? undefined
        : new Map([...recent.limited].map(([limit, n]) => [limit, n / (recent.known / 1000)])),
    unfit,
    executions: executions.flatMap((execution) => troubleOf(execution, now) ?? []),
    rehearsals: new Map((config.plans ?? []).map(({ name }) => [name, rehearsals.get(name)])),
  };
}

/** What somebody has to be told of an execution. */
function troubleOf(execution: Execution, now: number): Facts["executions"][number] | undefined {
  const { id, plan, rollout, state, says, runs, endedAt = 0 } = execution;
  const noun = rollout === undefined ? "plan" : "rollout";
  if (state === "held") {
    const why = `${noun} ${plan.name} (${id}) waits for somebody: ${says ?? "it failed"}`;
    return { plan: plan.name, execution: id, is: "execution-held", says: why };
  }
  if (rollout === undefined || state !== "reverted" || now - endedAt > TOLD_FOR) return undefined;
  const failed = Object.values(runs).find((run) => run.state === "failed");
  if (failed === undefined) return undefined;
  const why = `rollout ${plan.name} (${id}) was taken back: ${failed.says ?? "it failed"}`;
  return { plan: plan.name, execution: id, is: "rollout-taken-back", says: why };
}

function saysOf(
  { gateway, state, revision: own, refused, silence }: GatewayStanding,
  newest: number,
): string {
  const seconds = Math.round(silence / 1000);
  if (state === "gone") return `gateway ${gateway} is not connected`;
  if (state === "silent") return `gateway ${gateway} has said nothing for ${seconds} s`;
  if (state === "refuses") {
    return `gateway ${gateway} refuses revision ${refused?.revision}: ${refused?.reasons[0] ?? "no reason"}`;
  }
  return `gateway ${gateway} serves revision ${own}, and ${newest} is the newest`;
}

/** A window by what rules ask for: a thousand units do not mean a thousand looks at every series. */
class Indexed {
  readonly #sum: WindowSum;
  readonly #by = new Map<string, Map<string, WindowSum["series"][number][]>>();

  constructor(sum: WindowSum) {
    this.#sum = sum;
  }

  figure(labels: FigureLabels): ReturnType<Facts["figure"]> {
    const names = (["unit", "route", "version"] as const).filter((name) => labels[name] !== undefined);
    if (names.length === 0) return totalOf(this.#sum, true) ?? undefined;
    const kind = names.join();
    let by = this.#by.get(kind);
    if (by === undefined) {
      by = Map.groupBy(this.#sum.series, ({ name }) => names.map((one) => name[one]).join("\n"));
      this.#by.set(kind, by);
    }
    const series = by.get(names.map((one) => labels[one]).join("\n")) ?? [];
    return totalOf({ ...this.#sum, series }, false) ?? undefined;
  }
}
