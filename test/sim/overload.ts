/**
 * A unit, its callers and the gateway's protection in simulated time: a minute takes a fraction of a second, and the
 * same seed gives the same minute.
 */
import type { Random } from "../../model/clock.ts";
import { Baseline } from "../../gateway/baselines.ts";
import { ConcurrencyLimit } from "../../gateway/concurrency-limit.ts";
import { type Urgency, WaitingLine, type Waiter } from "../../gateway/waiting-line.ts";

export interface Unit {
  workers: number;
  /** Milliseconds of one request. */
  work: number;
  readonly spread: "fixed" | "exponential";
}

export interface Traffic {
  /** Requests a second at a time (ms). */
  readonly rate: (now: number) => number;
  /** Shares of the four priorities. */
  readonly shares: readonly [number, number, number, number];
}

export interface Result {
  /** Answers within the client's patience, per priority. */
  readonly good: number[];
  readonly sent: number[];
  /** Milliseconds from asking to the answer, of what was answered well. */
  readonly latencies: number[];
  readonly limits: number[];
  /** Good answers in each second. */
  readonly perSecond: number[];
}

interface Request extends Waiter {
  begunAt: number;
  /** Others that were under way when it began. */
  among: number;
}

const PATIENCE = 1_000;
const QUEUE = 256;
const LONGEST_WAIT = 500;
const WINDOW = 50;

/** @param from results count from here (ms) */
export function simulate(
  unit: Unit,
  traffic: Traffic,
  random: Random,
  duration: number,
  from = 0,
  protect = true,
  onMillisecond: (now: number) => void = () => {},
): Result {
  const limit = new ConcurrencyLimit();
  const line = new WaitingLine<Request>();
  const baseline = new Baseline();
  const inUnit: Request[] = [];
  const working: { request: Request; end: number }[] = [];
  const result: Result = { good: [0, 0, 0, 0], sent: [0, 0, 0, 0], latencies: [], limits: [], perSecond: [] };
  let pending = 0;
  let due = 0;
  let last = 0;
  let full = 0;
  let peak = 0;
  let answers = 0;
  let latency = 0;
  let base = 0;
  let known = unit.work;
  const step = 0.25;

  const begin = (request: Request, now: number): void => {
    request.among = pending++;
    peak = Math.max(peak, pending);
    request.begunAt = now;
    inUnit.push(request);
  };
  const hasRoom = (): boolean => !protect || pending < limit.limit;
  const serve = (now: number): void => {
    line.expire(now, known, LONGEST_WAIT, () => {});
    while (line.length > 0 && hasRoom()) begin(line.next(now)!, now);
  };
  const serviceTime = (): number =>
    unit.spread === "fixed" ? unit.work : -Math.log(1 - random.next()) * unit.work;

  for (let now = 0; now < duration; now += step) {
    if (now % 1 === 0) onMillisecond(now);
    for (let i = working.length - 1; i >= 0; i--) {
      const { request, end } = working[i]!;
      if (end > now) continue;
      working.splice(i, 1);
      pending--;
      answers++;
      const took = now - request.begunAt;
      latency += took;
      const b = baseline.sample(took, now, request.among, limit.calm);
      base += b;
      const all = now - request.joinedAt;
      if (all <= PATIENCE && request.joinedAt >= from) {
        result.good[request.urgency]!++;
        result.latencies.push(all);
        const second = Math.floor(now / 1_000);
        result.perSecond[second] = (result.perSecond[second] ?? 0) + 1;
      }
    }
    while (working.length < unit.workers && inUnit.length > 0) {
      working.push({ request: inUnit.shift()!, end: now + serviceTime() });
    }
    serve(now);
    // What is sent in the last second could not all be answered.
    due += now < duration - PATIENCE ? (traffic.rate(now) * step) / 1_000 : 0;
    for (; due >= 1; due--) {
      const at = random.next();
      let urgency = 0;
      for (let sum = traffic.shares[0]; urgency < 3 && at >= sum; sum += traffic.shares[urgency]!) urgency++;
      const request: Request = {
        urgency: urgency as Urgency,
        user: `u${Math.floor(random.next() * 1_000)}`,
        joinedAt: now,
        begunAt: 0,
        among: 0,
      };
      if (now >= from) result.sent[urgency]!++;
      if (hasRoom() && line.length === 0) begin(request, now);
      else {
        full++;
        line.join(request, QUEUE);
        serve(now);
      }
    }
    while (working.length < unit.workers && inUnit.length > 0) {
      working.push({ request: inUnit.shift()!, end: now + serviceTime() });
    }
    if (now - last >= WINDOW && ((answers >= 20 && now - last >= 50) || now - last >= 1_000)) {
      if (answers > 0) known = base / answers;
      limit.update({ elapsed: now - last, answers, latency, baseline: base, peak, full });
      last = now;
      answers = 0;
      latency = 0;
      base = 0;
      peak = pending;
      full = 0;
      result.limits.push(limit.limit);
    }
  }
  return result;
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}
