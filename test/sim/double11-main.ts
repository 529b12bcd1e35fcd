/**
 * `npm run sim:double11 -- [--seed N] [--thin N] [--dies SECONDS | --well] [--moves-after SECONDS]`: the night of
 * configs/double11/forecast.csv, by minute, and beside it what `tidegate forecast check` says of the same loss.
 */
import { parseArgs } from "node:util";
import { readConfigDir } from "../../host/config-dir.ts";
import { seededRandom } from "../../model/clock.ts";
import { endOf, formatTime, peakOf } from "../../model/forecast/forecast.ts";
import { outlookOf } from "../../model/forecast/outlook.ts";
import { entriesOf } from "../../model/forecast/traffic.ts";
import { PRIORITIES } from "../../model/route.ts";
import {
  nightFleet,
  nightForecast,
  recoversAfter,
  type Second,
  simulateNight,
  successOf,
  total,
  UNITS,
  VICTIM,
} from "./double11.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "11" },
    thin: { type: "string", default: "1" },
    dies: { type: "string", default: "5" },
    well: { type: "boolean", default: false },
    "moves-after": { type: "string", default: "120" },
  },
});
const [seed, thin, movesAfter] = [values.seed, values.thin, values["moves-after"]].map(Number) as [
  number,
  number,
  number,
];
const dies = values.well ? undefined : Number(values.dies);
const shipped = readConfigDir(new URL("../../configs/double11", import.meta.url).pathname).config!.forecast!;
const forecast = nightForecast(shipped, thin);
const zone = forecast.zone;
const peak = forecast.times[peakOf(forecast)]!;
const percent = (share: number): string => `${(share * 100).toFixed(2)} %`.padStart(9);
const clockOf = (at: number): string => new Date(at + zone * 60_000).toISOString().slice(11, 19);

console.log(
  `seed ${seed}; ${UNITS} units; the most is ${Math.round(shippedPeak())} requests/s at ${formatTime(peak, zone)}` +
    (thin === 1 ? "" : ` (thinned ${thin} times)`) +
    (dies === undefined
      ? "; nobody dies"
      : `; ${VICTIM} dies at ${clockOf(peak + dies * 1_000)}, its slots move ${movesAfter} s later`),
);
console.log(
  ["minute", "asked/s", ...PRIORITIES, "shed/s", "failed/s"].map((head) => head.padStart(9)).join(" "),
);

const began = performance.now();
const around: Second[] = [];
let minute: Second[] = [];
let [requests, overall] = [0, [] as Second[]];
const flush = (): void => {
  if (minute.length === 0) return;
  const per = (field: "sent" | "shed" | "failed"): string =>
    Math.round((PRIORITIES.reduce((sum, _, p) => sum + total(minute, field, p), 0) / minute.length) * thin)
      .toString()
      .padStart(9);
  console.log(
    [
      clockOf(minute[0]!.at).slice(0, 5).padStart(9),
      per("sent"),
      ...successOf(minute).map(percent),
      per("shed"),
      per("failed"),
    ].join(" "),
  );
  minute = [];
};
simulateNight(
  { forecast, random: seededRandom(seed), thin, before: 300, after: 900, wholeDay: true, dies, movesAfter },
  (second) => {
    if (minute.length > 0 && Math.floor(minute[0]!.at / 60_000) !== Math.floor(second.at / 60_000)) flush();
    minute.push(second);
    overall.push(second);
    requests += second.sent.reduce((a, b) => a + b, 0);
    if (second.at >= peak - 300_000 && second.at < peak + 900_000) around.push(second);
  },
);
flush();

const worst = around.reduce((a, b) => (wholeOf(b) < wholeOf(a) ? b : a));
console.log(
  `\nof the day: ${PRIORITIES.map((name, p) => `${name}${percent(successOf(overall)[p]!)}`).join(", ")}`,
);
console.log(
  `worst second: ${clockOf(worst.at)}: ${PRIORITIES.map((name, p) => `${name}${percent(successOf([worst])[p]!)}`).join(", ")}`,
);
if (dies !== undefined) {
  for (const success of [0.99, 0.999]) {
    const after = recoversAfter(around, peak + dies * 1_000, success);
    console.log(
      `every priority at ${success * 100} % again: ${after === undefined ? "not in a quarter of an hour" : `after ${after} s`}`,
    );
  }
  const whole = nightFleet(thin);
  const options = { writes: 0.5, entries: entriesOf(whole) };
  const index = forecast.times.indexOf(peak);
  const first = {
    zone,
    times: [peak],
    routes: Object.fromEntries(Object.entries(forecast.routes).map(([name, rps]) => [name, [rps[index]!]])),
  };
  const loss = outlookOf(whole, first, options).losses.find(({ unit }) => unit === VICTIM)!;
  // Known to be down, not moved yet, and still the peak's own row.
  const until = Math.min(endOf(forecast, index), peak + (dies + movesAfter) * 1_000);
  const steady = around.filter(({ at }) => at >= peak + (dies + 5) * 1_000 && at < until);
  for (const [p, name] of PRIORITIES.entries()) {
    const per = (field: "shed" | "failed"): number =>
      Math.round((total(steady, field, p) / steady.length) * thin);
    const [shed, failing] = [loss.shed[name] ?? 0, loss.failing[name] ?? 0].map((rps) =>
      Math.round(rps * thin),
    );
    console.log(
      `${name.padEnd(10)} at the peak without ${VICTIM}: the forecast says ${shed}/s shed, ${failing}/s failing; seen ${per("shed")}/s, ${per("failed")}/s`,
    );
  }
}
console.log(
  `${(requests / 1e6).toFixed(1)} million requests in ${((performance.now() - began) / 1_000).toFixed(0)} s`,
);
overall = [];

function wholeOf(second: Second): number {
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  return sum(second.good) / sum(second.sent);
}

function shippedPeak(): number {
  return Object.values(shipped.routes).reduce((sum, rps) => sum + rps[peakOf(shipped)]!, 0);
}
