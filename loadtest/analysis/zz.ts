import { seededRandom } from "../../model/clock.ts";
import { failsAfter, isTakenBack, ROLLOUT, ALPHA_OF_STEP, interval } from "./trials.ts";
import type { Traffic } from "./traffic.ts";
console.log(ALPHA_OF_STEP);
const base: Traffic = { rate: 1000, share: .05, errors: .001, shape: "wide" };
const runs = Number(process.argv[2] ?? 300);
if (runs > 0) for (const [name, t] of Object.entries<Traffic>({
  err1: { ...base, canaryErrors: .01 },
  ...(process.argv[4] ? {} : { err10: { ...base, canaryErrors: .1 },
  allx2even: { ...base, shape: "even", slower: { times: 2, of: 1 } },
  allx2wide: { ...base, slower: { times: 2, of: 1 } },
  allx2heavy: { ...base, shape: "heavy", slower: { times: 2, of: 1 } },
  tail2even: { ...base, shape: "even", slower: { times: 2, of: .02 } },
  tail2wide: { ...base, shape: "wide", slower: { times: 2, of: .02 } },
  tail2heavy: { ...base, shape: "heavy", slower: { times: 2, of: .02 } },
  tail2twofold: { ...base, shape: "twofold", slower: { times: 2, of: .02 } }}),
})) {
  const t0 = performance.now();
  const all: number[] = []; let why = "";
  for (let i = 0; i < runs; i++) { const r = failsAfter(t, 60, seededRandom(1000 + i)); all.push(r?.seconds ?? Infinity); why = r?.reason ?? why; }
  all.sort((a, b) => a - b);
  const in30 = all.filter((s) => s <= 30).length;
  console.log(name, "in30", (100 * in30 / runs).toFixed(2), interval(in30, runs).map((x) => (100 * x).toFixed(2)).join("-"), "p50", all[runs >> 1], "p99", all[Math.floor(runs * .99)], `${((performance.now() - t0) / runs).toFixed(1)} ms/run`, why);
}
const n = Number(process.argv[3] ?? 0);
const nulls: Record<string, Traffic> = {








  clusters1: { ...base, errors: .01, clusters: 4 },
  pauses: { ...base, pauses: 0.02 },
};
if (n > 0) for (const [name, t] of Object.entries(nulls)) {
  const t0 = performance.now(); let back = 0; const where: Record<string, number> = {}; let why = "";
  for (let i = 0; i < n; i++) { const r = isTakenBack(t, ROLLOUT, seededRandom(5000 + i)); if (r) { back++; const k = `${r.unit}/${r.share}/${r.reason.slice(0, 13)}`; where[k] = (where[k] ?? 0) + 1; why = r.reason; } }
  console.log(name, back, "of", n, interval(back, n).map((x) => (100 * x).toFixed(2)).join("-"), JSON.stringify(where), `${((performance.now() - t0) / n).toFixed(0)} ms/rollout`, why);
}
