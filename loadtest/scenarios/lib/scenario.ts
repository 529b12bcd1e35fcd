/**
 * What every scenario is made of: an open loop that asks as the run file says, tags by unit, route and slot of time, and
 * a summary as JSON, text and page.
 *
 * k6 runs this, not Node: it has no `node:` modules, and what is exported by name is what it calls.
 */
import { check } from "k6";
import exec from "k6/execution";
import http from "k6/http";
import { Counter, Rate, Trend } from "k6/metrics";
import type { Options } from "k6/options";
import {
  type Ask,
  type Moment,
  RUN_VARIABLE,
  type RunFile,
  type Target,
} from "../../../model/load/run-file.ts";
import { Chooser } from "./chooser.ts";
import { resultOf, type Summary, summaryFiles } from "./summary.ts";

export const run: RunFile = JSON.parse(open(__ENV[RUN_VARIABLE] ?? "")) as RunFile;

const ok = new Rate("tidegate_ok");
const took = new Trend("tidegate_took", true);
const asked = new Counter("tidegate_asked");
const answers = new Counter("tidegate_answers");

/** Answers that are counted one by one. */
export const STATUSES = [
  "0",
  "200",
  "201",
  "204",
  "302",
  "304",
  "400",
  "401",
  "403",
  "404",
  "409",
  "413",
  "421",
];
STATUSES.push("429", "431", "500", "502", "503", "504");

export interface Shape {
  /** Requests per second by time; straight lines between them. */
  readonly curve: readonly Moment[];
  /** What has to hold beside the run file's bounds. */
  readonly thresholds?: Readonly<Record<string, readonly string[]>>;
  /** Tags that have thresholds, so that the summary shows them: `version:canary`. */
  readonly shown?: readonly string[];
}

export function optionsOf({ curve, thresholds = {}, shown = [] }: Shape): Options {
  const [first, ...rest] = curve;
  const all: Record<string, string[]> = {};
  const show = (tag: string): void => {
    for (const name of ["tidegate_ok", "tidegate_took", "tidegate_asked"]) all[`${name}{${tag}}`] = [];
  };
  for (let slot = 0; slot < run.slots; slot++) show(`slot:${slot}`);
  for (const unit of new Set(run.targets.map((target) => target.unit))) {
    show(`unit:${unit}`);
    const { success, p99 } = run.bounds;
    if (success !== undefined) all[`tidegate_ok{unit:${unit}}`]!.push(`rate>=${success}`);
    if (p99 !== undefined) all[`tidegate_took{unit:${unit}}`]!.push(`p(99)<=${p99}`);
  }
  for (const tag of shown) show(tag);
  for (const status of STATUSES) all[`tidegate_answers{status:${status}}`] = [];
  for (const [metric, rules] of Object.entries(thresholds)) all[metric] = [...(all[metric] ?? []), ...rules];
  let before = first?.at ?? 0;
  const stages = rest.map(({ at, rate }) => {
    const duration = `${Math.max(0, Math.round((at - before) * 1_000))}ms`;
    before = at;
    return { duration, target: Math.max(0, Math.round(rate)) };
  });
  return {
    scenarios: {
      open: {
        executor: "ramping-arrival-rate",
        exec: "ask",
        startRate: Math.round(first?.rate ?? run.rate),
        timeUnit: "1s",
        preAllocatedVUs: run.connections.first,
        maxVUs: run.connections.most,
        stages,
        gracefulStop: `${run.timeout}ms`,
      },
    },
    thresholds: all,
    summaryTrendStats: ["count", "p(50)", "p(95)", "p(99)", "max"],
    discardResponseBodies: true,
    systemTags: ["status"],
    noConnectionReuse: false,
    insecureSkipTLSVerify: false,
  };
}

/** As long as the run file says, at one rate. */
export function steady(): readonly Moment[] {
  return (
    run.curve ?? [
      { at: 0, rate: run.rate },
      { at: run.seconds, rate: run.rate },
    ]
  );
}

/** From a tenth up to the rate over three fifths of the time, then held. */
export function ramp(): readonly Moment[] {
  return (
    run.curve ?? [
      { at: 0, rate: run.rate / 10 },
      { at: run.seconds * 0.6, rate: run.rate },
      { at: run.seconds, rate: run.rate },
    ]
  );
}

const targets = new Chooser(run.targets.map((target) => target.share));
const mix = new Chooser(run.mix.map((one) => one.share));
const keys = run.targets.map(
  (target) => new Chooser(target.weights ?? target.keys.map((_, rank) => (rank + 1) ** -target.skew)),
);
const settle = run.settle ?? 0;
const base = (run.seconds - settle) / run.slots;

/** One request. */
export function ask(): void {
  const place = targets.next(Math.random());
  const target = run.targets[place]!;
  const one = run.mix[mix.next(Math.random())]!;
  const key = target.keys[keys[place]!.next(Math.random())];
  const elapsed = (Date.now() - exec.scenario.startTime) / 1_000;
  const slot = Math.min(run.slots - 1, Math.max(0, Math.floor((elapsed - settle) / base)));
  const answer = http.request(one.method, urlOf(target, one, key), one.body ?? null, {
    headers: headersOf(target, one, key),
    timeout: `${run.timeout}ms`,
    redirects: 0,
    tags: { unit: target.unit, route: one.name },
  });
  if (elapsed < settle) return;
  const status = answer.status;
  const tags: Record<string, string> = { unit: target.unit, route: one.name, slot: `${slot}` };
  const version = answer.headers["X-Version"];
  if (version !== undefined) tags.version = version;
  const { blocked, duration } = answer.timings;
  ok.add(status >= 200 && status < 400, tags);
  took.add(status === 0 ? Math.max(run.timeout, duration) : blocked + duration, tags);
  asked.add(1, tags);
  answers.add(1, { status: STATUSES.includes(`${status}`) ? `${status}` : "0" });
  // Whoever is told to wait is told how long.
  if (status === 429)
    check(answer, { "429 says when": ({ headers }) => headers["Retry-After"] !== undefined });
}

export function handleSummary(data: Summary): Record<string, string> {
  return summaryFiles(run, resultOf(run, data));
}

function urlOf({ urls }: Target, { path }: Ask, key: string | undefined): string {
  const gateway = urls[Math.floor(Math.random() * urls.length)]!;
  const number = `${Math.floor(Math.random() * 1_000_000)}`;
  const filled = path.replaceAll("{n}", number).replaceAll("{key}", encodeURIComponent(key ?? ""));
  if (key === undefined || run.key.from !== "query") return gateway + filled;
  return `${gateway}${filled}${filled.includes("?") ? "&" : "?"}${run.key.name}=${encodeURIComponent(key)}`;
}

function headersOf(
  { headers }: Target,
  { host, body }: Ask,
  key: string | undefined,
): Record<string, string> {
  const all: Record<string, string> = { ...headers };
  if (host !== undefined) all.host = host;
  if (body !== undefined) all["content-type"] = "application/json";
  if (key === undefined) return all;
  if (run.key.from === "header") all[run.key.name] = key;
  if (run.key.from === "cookie") all.cookie = `${run.key.name}=${key}`;
  return all;
}
