/** What conditions are read from: fleet figures, the health that gateways report, and answers of the user's systems. */
import type { Config, Trial } from "../../model/config.ts";
import {
  type Comparison,
  type Evaluation,
  evaluate,
  type Expression,
} from "../../model/figure-expression.ts";
import { figureOf, totalOf } from "../figure.ts";
import type { FigureFilter, FleetFigures, Window } from "../fleet-figures.ts";
import type { Gateways } from "../publish/gateways.ts";
import type { Prometheus } from "../prometheus.ts";
import { Evidence } from "../rollouts/evidence.ts";
import { Metrics } from "../rollouts/metrics.ts";
import type { Execution, TimelineEntry, Tried } from "./execution.ts";

export interface SightOptions {
  readonly figures: FleetFigures;
  readonly gateways: Gateways;
  /** Undefined: there is none to ask. */
  readonly prometheus?: Pick<Prometheus, "number"> | undefined;
  /** Milliseconds of a clock that nobody sets. */
  readonly monotonic: () => number;
}

export class Sight {
  /** What rollouts go by. */
  readonly evidence: Evidence;
  readonly #figures: FleetFigures;
  readonly #gateways: Gateways;

  constructor({ figures, gateways, prometheus, monotonic }: SightOptions) {
    this.#figures = figures;
    this.#gateways = gateways;
    this.evidence = new Evidence(figures, gateways, new Metrics(prometheus, monotonic));
  }

  /** @param samples requests that a figure has to rest on; fewer, and nobody knows */
  evaluate(
    condition: Expression,
    window: Window,
    samples: number,
    config: Config,
    execution: Execution | undefined,
  ): Evaluation {
    return evaluate(condition, (one) => this.#read(one, window, samples, config, execution));
  }

  /** What a timeline shows of now; undefined where there is no fleet yet. */
  moment(standing: { readonly config: Config } | undefined): TimelineEntry["figures"] {
    return standing === undefined ? undefined : this.snapshot(standing.config);
  }

  /** What a timeline shows of a moment. */
  snapshot(config: Config): NonNullable<TimelineEntry["figures"]> {
    const rps: Record<string, number> = {};
    for (const { name } of config.fleet.units) {
      const total = totalOf(this.#figures.sum("10s", { unit: name }), false);
      if (total !== null) rps[name] = Math.round(total.rps * 10) / 10;
    }
    const errors = totalOf(this.#figures.sum("10s"), true)?.errorShare ?? null;
    return config.trial === undefined
      ? { rps, errors }
      : { rps, errors, rehearsed: this.#tried(config.trial) };
  }

  /** Users of a rehearsal are counted as those of a canary are; its stress traffic is counted apart as ever. */
  #tried({ audience }: Trial): Tried {
    const isStress = audience.kind === "stress";
    const of = (filter: FigureFilter) => totalOf(this.#figures.sum("10s", filter), false);
    const own = of(isStress ? { traffic: "stress" } : { version: "canary" });
    const others = of(isStress ? {} : { version: "stable" });
    const { requests = 0, errorShare: errors = null, p99 = null } = own ?? {};
    return {
      ...{ requests, errors, p99 },
      others: { errors: others?.errorShare ?? null, p99: others?.p99 ?? null },
    };
  }

  #read(
    { metric, labels }: Comparison,
    window: Window,
    samples: number,
    config: Config,
    execution: Execution | undefined,
  ): number | undefined {
    switch (metric) {
      case "gateways":
        return this.#gateways.live().length;
      case "behind": {
        const newest = Math.max(0, ...this.#gateways.live().map(({ revision }) => revision));
        return this.#gateways.convergence(newest).behind.length;
      }
      case "healthy": {
        const healthy = this.#isHealthy(labels.unit!);
        return healthy === undefined ? undefined : Number(healthy);
      }
      case "serving":
        return this.#serving(config);
      case "answer":
        return answerOf(execution, labels.step!, labels.field!);
      default: {
        const isWhole = Object.keys(labels).length === 0;
        const total = totalOf(this.#figures.sum(window, labels), isWhole);
        if (total === null || total.requests < samples) return undefined;
        if (metric === "rps") return total.rps;
        if (metric === "errors") return total.errorShare ?? (samples === 0 ? 0 : undefined);
        if (metric === "success") return total.successShare ?? undefined;
        return total[metric] ?? undefined;
      }
    }
  }

  /** Route → requests per second over ten seconds, and what is known of them; undefined where nobody knows. */
  load(): Map<string, number> | undefined {
    const { series, known } = this.#figures.sum("10s");
    if (known === 0) return undefined;
    const load = new Map<string, number>();
    for (const { name, row } of series) {
      const { rps } = figureOf(row, known);
      load.set(name.route, (load.get(name.route) ?? 0) + rps);
    }
    return load;
  }

  /** Unit → requests per second over ten seconds, as far as anybody knows. */
  unitLoad(config: Config): Map<string, number> {
    return new Map(Object.entries(this.snapshot(config).rps));
  }

  /** Units that most of the gateways find unhealthy. */
  unhealthy(config: Config): Set<string> {
    const names = config.fleet.units.map(({ name }) => name);
    return new Set(names.filter((name) => this.#isHealthy(name) === false));
  }

  /** As most of the gateways see it; undefined when none says. */
  #isHealthy(unit: string): boolean | undefined {
    const views = this.#gateways.live().flatMap(({ report }) => report?.units[unit] ?? []);
    return views.length === 0 ? undefined : views.filter((view) => view.healthy).length * 2 > views.length;
  }

  #serving(config: Config): number | undefined {
    const seen = config.fleet.units.map((unit) => ({ unit, healthy: this.#isHealthy(unit.name) }));
    if (seen.every(({ healthy }) => healthy === undefined)) return undefined;
    return seen.filter(({ unit, healthy }) => healthy === true && unit.drain === undefined).length;
  }
}

function answerOf(execution: Execution | undefined, step: string, field: string): number | undefined {
  if (execution === undefined) return undefined;
  const path = execution.steps.find((one) => one.path === step || one.title === step)?.path ?? step;
  const answer = execution.runs[path]?.answer;
  if (typeof answer !== "object" || answer === null || !Object.hasOwn(answer, field)) return undefined;
  const value = (answer as Record<string, unknown>)[field];
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}
