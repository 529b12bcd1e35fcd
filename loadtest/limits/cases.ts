/** What is measured: loads beyond a limit and below it, many users, a gateway that is killed, a Redis that freezes. */
import { Offer, SHARES } from "./offer.ts";
import type { LimitedGateway, Stage } from "./stage.ts";

/** Promises. */
const WITHIN = 0.02;
const MOST_COMMANDS = 1;
const FEW = 1e-4;
const FALL_BACK = 1_000;
const COME_BACK = 3_000;

/** Until the burst is spent, the gateways are warm and leases have settled (ms). */
const SETTLED = 6_000;

export interface Outcome {
  readonly name: string;
  /** Tokens per second; of each user where there are many. */
  readonly limit: number;
  /** Requests per second. */
  readonly offered: number;
  /** Of the limit's tokens, the least and the most that any ten seconds admitted; undefined below the limit. */
  readonly windows: readonly [least: number, most: number] | undefined;
  readonly refused: number;
  /** Commands to Redis per 100 requests: sent by gateways, and with those that scripts run inside. */
  readonly commands: number;
  readonly withInner: number;
  /** p99 of how late the load was sent (ms). */
  readonly lag: number;
  /** What else was seen, for people. */
  readonly notes: readonly string[];
  readonly missed: readonly string[];
}

interface Given {
  readonly stage: Stage;
  readonly offered: number;
  readonly seconds: number;
}

/** @param of the offered load is so many times the limit · @param users undefined: one bucket for all */
async function steady(
  name: string,
  { stage, offered, seconds }: Given,
  of: number,
  burst: number,
  users?: number,
): Promise<Outcome> {
  const limit = users === undefined ? Math.round(offered / of) : Math.ceil(offered / of / users);
  const by = users === undefined ? "route" : "user";
  const gateways = await stage.gateways(
    SHARES.length,
    `rate: ${limit}/s, burst: ${Math.ceil(limit * burst)}, by: [${by}]`,
  );
  const before = await stage.commands();
  const offer = new Offer(gateways, offered, users);
  await pause(SETTLED);
  offer.phase("settled");
  await pause(seconds * 1_000 - SETTLED);
  const to = offer.now;
  await offer.stop();
  const beyond = of > 1;
  const windows = beyond ? offer.windows(limit, SETTLED, to) : undefined;
  const { sent, refused, shed, failed, causes } = offer.sums("settled");
  const outcome = await outcomeOf(name, stage, before, offer, limit, to, windows);
  const missed = [...outcome.missed];
  if (windows !== undefined && (windows[0] < 1 - WITHIN || windows[1] > 1 + WITHIN))
    missed.push("not within 2 % of the limit");
  // A user whose requests come together at one gateway may need more than its part, before it has asked for the rest.
  if (!beyond && refused > (users === undefined ? 0 : sent * FEW))
    missed.push(`${refused} requests were refused below the limit`);
  return { ...outcome, refused, missed, notes: shed + failed === 0 ? [] : [otherwise(shed, failed, causes)] };
}

export const CASES: Readonly<Record<string, (given: Given) => Promise<Outcome>>> = {
  beyond: (given) => steady("twice the limit", given, 2, 1),
  near: (given) => steady("a tenth above it", given, 1.1, 1),
  below: (given) => steady("below the limit", given, 1 / 1.3, 1),
  users: (given) => steady("2,000 users, below", given, 1 / 4, 2, 2_000),
  killed,
  frozen,
};

/** The gateway with most of the load is killed, and its clients come to the next one. */
async function killed({ stage, offered, seconds }: Given): Promise<Outcome> {
  const limit = Math.round(offered / 2);
  const gateways = await stage.gateways(SHARES.length, `rate: ${limit}/s, burst: ${limit}, by: [route]`);
  const before = await stage.commands();
  const offer = new Offer(gateways, offered);
  await pause(SETTLED + 5_000);
  const at = offer.now;
  offer.move(0, 1);
  gateways[0]!.kill();
  await pause(Math.max(seconds * 1_000 - at, 8_000));
  const to = offer.now;
  await offer.stop();
  const windows = offer.windows(limit, SETTLED, to);
  const outcome = await outcomeOf("a gateway is killed", stage, before, offer, limit, to, windows);
  const missed = [...outcome.missed];
  if (windows[1] > 1 + WITHIN) missed.push("more than 2 % above the limit around the kill");
  const back = firstFull(offer, limit, at, to);
  return {
    ...outcome,
    missed,
    notes: [
      `in the second after the kill ${percent(offer.admitted(at, at + 1_000) / limit)} of the limit were admitted`,
      `half a second at 95 % or more began ${back} ms after it`,
    ],
  };
}

/** Milliseconds from a moment to the first half second that admitted 95 % of the limit. */
function firstFull(offer: Offer, limit: number, at: number, to: number): number {
  for (let from = at; from + 500 <= to; from += 100) {
    if (offer.admitted(from, from + 500) >= 0.95 * limit * 0.5) return Math.round(from - at);
  }
  return Number.POSITIVE_INFINITY;
}

/** Redis stops answering with its connections open, and goes on some seconds later. */
async function frozen({ stage, offered, seconds }: Given): Promise<Outcome> {
  const limit = Math.round(offered / 2);
  const gateways = await stage.gateways(SHARES.length, `rate: ${limit}/s, burst: ${limit}, by: [route]`);
  const before = await stage.commands();
  const offer = new Offer(gateways, offered);
  await pause(SETTLED);
  offer.phase("before");
  await pause(3_000);
  offer.phase("frozen");
  const at = offer.now;
  stage.freeze();
  const down = await settled(gateways, false);
  await pause(Math.max(4_000, seconds * 300));
  const thawedAt = offer.now;
  offer.phase("after");
  stage.thaw();
  const up = await settled(gateways, true);
  await pause(4_000);
  const to = offer.now;
  await offer.stop();
  const windows = offer.windows(limit, SETTLED, to);
  const outcome = await outcomeOf("Redis freezes, thaws", stage, before, offer, limit, to, windows);
  const missed = [...outcome.missed];
  const { shed, failed, causes } = offer.sums();
  if (failed > 0) missed.push(otherwise(shed, failed, causes));
  if (down > FALL_BACK) missed.push(`shares counted only after ${down} ms`);
  if (up > COME_BACK) missed.push(`leases counted only after ${up} ms`);
  // Each gateway takes at most its own share: a fourth of the limit, or all of its load where that is less.
  const shares = SHARES.reduce((sum, share) => sum + Math.min(share * offered, limit / SHARES.length), 0);
  const admitted = (offer.admitted(at + 1_500, thawedAt) * 1_000) / (thawedAt - at - 1_500);
  if (Math.abs(admitted / shares - 1) > 0.05) missed.push("shares are not what was admitted meanwhile");
  const p99 = (phase: string): string => `${offer.latency(phase, 0.99).toFixed(0)} ms ${phase}`;
  return {
    ...outcome,
    missed,
    notes: [
      `all gateways on shares after ${down} ms, all on leases ${up} ms after the thaw`,
      `admitted while frozen ${percent(admitted / limit)} of the limit; the shares of this load are ${percent(shares / limit)}`,
      `p99 of the slowest gateway: ${p99("before")}, ${p99("frozen")}, ${p99("after")}`,
    ],
  };
}

/** Milliseconds until all gateways lease, or none does. */
async function settled(gateways: readonly LimitedGateway[], leasing: boolean): Promise<number> {
  const began = performance.now();
  while (performance.now() - began < 15_000) {
    const all = await Promise.all(gateways.map((gateway) => gateway.limits()));
    if (all.every((one) => one.leasing === leasing)) return Math.round(performance.now() - began);
    await pause(10);
  }
  return Number.POSITIVE_INFINITY;
}

async function outcomeOf(
  name: string,
  stage: Stage,
  before: { sent: number; all: number },
  offer: Offer,
  limit: number,
  milliseconds: number,
  windows: Outcome["windows"],
): Promise<Outcome> {
  const after = await stage.commands();
  const { sent, refused } = offer.sums();
  const commands = ((after.sent - before.sent) / sent) * 100;
  return {
    name,
    limit,
    offered: (sent * 1_000) / milliseconds,
    windows,
    refused,
    commands,
    withInner: ((after.all - before.all) / sent) * 100,
    lag: offer.lag,
    notes: [],
    missed: commands < MOST_COMMANDS ? [] : [`${commands.toFixed(2)} commands for 100 requests`],
  };
}

function otherwise(shed: number, failed: number, causes: ReadonlyMap<string, number>): string {
  const why = [...causes].filter(([cause]) => cause !== "429").map(([cause, n]) => `${cause}: ${n}`);
  return `${shed} were shed by busy gateways, ${failed} failed (${why.join(", ")})`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
