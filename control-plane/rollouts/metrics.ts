/**
 * Numbers of the user's own for a canary and for stable, asked of a Prometheus in the background: who looks at a rollout
 * never waits for it.
 */
import type { MetricQuery } from "../../model/rollout/rollout.ts";
import type { Prometheus } from "../prometheus.ts";

/** Milliseconds between two questions, and after which an answer says nothing any more. */
const EVERY = 10_000;
const STALE = 60_000;

const VERSIONS = ["canary", "stable"] as const;
type Values = Readonly<Record<string, number>>;

/** What is asked for in one bake. */
export interface Asked {
  readonly metrics: readonly MetricQuery[];
  readonly unit: string;
  readonly service: string | undefined;
}

export interface Answered {
  /** What is new since the look before; undefined: nothing. */
  readonly news: { readonly canary: Values; readonly stable: Values } | undefined;
  /** What is not known, or not known often enough, and why; undefined: nothing is missing. */
  readonly missing: string | undefined;
}

interface Metric {
  answers: number;
  /** Of the last answer with a number. */
  at: number | undefined;
  problem: string;
}

interface Watch {
  askedAt: number | undefined;
  isAsking: boolean;
  news: Answered["news"];
  readonly metrics: Map<string, Metric>;
}

export class Metrics {
  /** Undefined: there is none to ask. */
  readonly #prometheus: Pick<Prometheus, "number"> | undefined;
  /** Milliseconds of a clock that nobody sets. */
  readonly #monotonic: () => number;
  readonly #watches = new Map<string, Watch>();

  constructor(prometheus: Pick<Prometheus, "number"> | undefined, monotonic: () => number) {
    this.#prometheus = prometheus;
    this.#monotonic = monotonic;
  }

  /** @returns why a rollout's metrics could not be asked for */
  refusal(metrics: readonly MetricQuery[]): string | undefined {
    if (metrics.length === 0 || this.#prometheus !== undefined) return undefined;
    return "it asks for metrics; start the control plane with --prometheus URL";
  }

  /** @param key of the bake: what was asked for it is forgotten with it */
  look(key: string, asked: Asked): Answered {
    const { metrics } = asked;
    if (metrics.length === 0) return { news: undefined, missing: undefined };
    let watch = this.#watches.get(key);
    if (watch === undefined) {
      watch = { askedAt: undefined, isAsking: false, news: undefined, metrics: new Map() };
      this.#watches.set(key, watch);
    }
    const now = this.#monotonic();
    if (!watch.isAsking && (watch.askedAt === undefined || now - watch.askedAt >= EVERY)) {
      watch.askedAt = now;
      watch.isAsking = true;
      void this.#ask(watch, asked);
    }
    const { news } = watch;
    watch.news = undefined;
    return { news, missing: missingOf(watch, metrics, now) };
  }

  /** Nobody looks at it any more. */
  forget(key: string): void {
    this.#watches.delete(key);
  }

  async #ask(watch: Watch, { metrics, unit, service }: Asked): Promise<void> {
    const found = { canary: {} as Record<string, number>, stable: {} as Record<string, number> };
    await Promise.all(
      metrics.map(async (metric) => {
        const known = watch.metrics.get(metric.name) ?? { answers: 0, at: undefined, problem: "" };
        watch.metrics.set(metric.name, known);
        try {
          for (const version of metric.ratio === undefined ? (["canary"] as const) : VERSIONS) {
            const query = filled(metric.query, { unit, version, service: service ?? "" });
            const value = await this.#prometheus?.number(query);
            if (value === undefined) throw new Error(`Prometheus has no number of ${version}`);
            found[version][metric.name] = value;
          }
          known.answers++;
          known.at = this.#monotonic();
        } catch (error) {
          known.problem = (error as Error).message;
          // Half of a pair is none.
          for (const version of VERSIONS) delete found[version][metric.name];
        }
      }),
    );
    watch.news = found;
    watch.isAsking = false;
  }
}

function missingOf({ metrics }: Watch, asked: readonly MetricQuery[], now: number): string | undefined {
  for (const { name, windows } of asked) {
    const { answers, at, problem } = metrics.get(name) ?? { answers: 0, at: undefined, problem: "" };
    if (at === undefined || now - at > STALE) {
      return `metric ${name} is not known${problem === "" ? "" : ` (${problem})`}`;
    }
    if (answers < windows) return `metric ${name} was told ${answers} times of ${windows}`;
  }
  return undefined;
}

/** `$unit`, `$version` and `$service` by what they are: names, which hold no quotes. */
function filled(query: string, values: Readonly<Record<"unit" | "version" | "service", string>>): string {
  return query.replace(/\$(unit|version|service)\b/g, (_, name: keyof typeof values) => values[name]);
}
