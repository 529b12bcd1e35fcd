/** What the overload benchmark runs: one table for each scenario, one case in each of its rows. */
import { burst } from "./burst.ts";
import { loss } from "./loss.ts";
import { outage } from "./outage.ts";
import type { Outcome } from "./outcome.ts";
import type { Stage } from "./processes.ts";
import { storm } from "./storm.ts";

export type Case = (stage: Stage, protect: boolean, quick: boolean) => Promise<Outcome>;

export interface Scenario {
  readonly title: string;
  readonly cases: readonly Case[];
}

/** Five times 500/s. */
const BURST = { times: 5, workers: 10, work: 20, spread: "fixed" } as const;

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  burst: {
    title: "One unit is asked for more than it can do",
    cases: [
      BURST,
      { ...BURST, times: 2 }, // Here some of the normal class is served, so that fairness shows.
      { ...BURST, spread: "exponential" as const },
      { ...BURST, workers: 40, work: 80 },
      { ...BURST, workers: 2, work: 4 },
    ].map((options) => (stage, protect, quick) => {
      return burst(stage, { ...options, protect, seconds: quick ? 8 : 20, unloaded: quick ? 4 : 10 });
    }),
  },
  loss: {
    title: "One of three units is lost, each at 70 % of its capacity",
    cases: (["killed", "hangs"] as const).map((how) => (stage, protect, quick) => {
      return loss(stage, { protect, how, workers: 10, work: 20, before: 5, after: quick ? 10 : 20 });
    }),
  },
  storm: {
    title: "Every unit fails every request",
    cases: [
      ...(["503", "hang"] as const).flatMap((how) =>
        [20, 100, 500].map((rate) => ({ how, rate, breaker: false })),
      ),
      { how: "503" as const, rate: 100, breaker: true },
    ].map((options) => (stage, protect, quick) => {
      return storm(stage, { ...options, protect, seconds: quick ? 5 : 15 });
    }),
  },
  outage: {
    title:
      "Every unit is gone for a while, at 60 % of their capacity; clients ask again at once, up to 10 times",
    cases: (["refuse", "hang"] as const).map((how) => (stage, protect, quick) => {
      return outage(stage, { protect, how, workers: 5, work: 20, seconds: quick ? 8 : 30, after: 20 });
    }),
  },
};
