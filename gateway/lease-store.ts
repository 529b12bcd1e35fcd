/**
 * The buckets of fleet limits, in Redis: true token buckets, leased from in one command for many keys.
 *
 * rate-limiter-flexible has fixed windows only, and one command per key. Its RateLimiterRedis gives the client, the key
 * names, `get` and `delete`; the bucket itself and the lease of many keys at once are added here.
 *
 * Nothing here must last: a bucket that Redis forgets is full again.
 */
import { Redis } from "ioredis";
import { RateLimiterRedis, RateLimiterRes } from "rate-limiter-flexible";
import type { Clock } from "../model/clock.ts";
import type { Limit } from "../model/limit.ts";

/** A command that takes longer is taken for failed; whatever it granted is nobody's. */
export const STORE_TIMEOUT = 50;
/** A gateway that was not heard of for so long (ms) no longer counts. */
const GATEWAY_LIVES = 5_000;

/** What is asked for one key. */
export interface LeaseAsk {
  readonly key: string;
  /** Tokens per second, and tokens that the bucket holds. */
  readonly rate: number;
  readonly burst: number;
  /** Tokens that were taken without a lease: charged whatever is left. */
  readonly debt: number;
  /** Tokens wanted; below zero gives that many back. */
  readonly want: number;
}

export interface LeaseGrant {
  readonly granted: number;
  /** Milliseconds until the bucket has a token again; 0 when it has one, and all was granted. */
  readonly wait: number;
  /** Tokens that are left in the bucket. */
  readonly remaining: number;
  /** Milliseconds until the bucket is full. */
  readonly full: number;
}

export interface LeaseReply {
  readonly grants: readonly LeaseGrant[];
  /** Gateways that were heard of lately; undefined unless the ask said that this one lives. */
  readonly gateways: number | undefined;
}

/**
 * KEYS: the set of gateways, then the buckets. ARGV: this gateway's name or empty, how long one lives (µs), Redis' time
 * (µs) or empty, then for each bucket µs per token, burst, debt, want. A bucket is the time (µs) at which it will be
 * full, as in token-table.ts. Replies with the number of gateways (−1: not asked) and Redis' time, then for each bucket
 * tokens granted, µs to wait for one, tokens left, µs until it is full.
 *
 * What a script calls counts as a command of Redis, and costs it as much: so the time is asked for when a gateway says
 * that it lives, and the dead are looked for when one is new.
 */
const LEASE = `
local now = tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local out = { -1, now }
if ARGV[1] ~= '' then
  if redis.call('ZADD', KEYS[1], now, ARGV[1]) == 1 then
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
  end
  out[1] = redis.call('ZCOUNT', KEYS[1], now - ARGV[2], '+inf')
end
if #KEYS > 1 then
  local was = redis.call('MGET', unpack(KEYS, 2))
  for i = 1, #KEYS - 1 do
    local at = 4 + (i - 1) * 4
    local per, burst = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
    local debt, want = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
    local latest = now + burst * per
    local full = tonumber(was[i] or now)
    if full < now then full = now end
    if want < 0 then full = math.max(now, full + want * per) end
    -- One more bucket of debt at most, so that no mistake of one gateway stops the fleet for long.
    full = math.min(full + debt * per, latest + math.max(burst, 8) * per)
    local granted = math.max(0, math.min(want, math.floor((latest - full) / per + 0.000001)))
    full = full + granted * per
    if full > now then
      redis.call('SET', KEYS[i + 1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000) + 1000)
    elseif was[i] then
      redis.call('DEL', KEYS[i + 1])
    end
    local left = math.max(0, math.floor((latest - full) / per + 0.000001))
    out[i * 4 - 1] = granted
    out[i * 4] = (granted < want or left == 0) and math.ceil(math.max(0, full + per - latest)) or 0
    out[i * 4 + 1] = left
    out[i * 4 + 2] = math.ceil(full - now)
  end
end
return out`;

type LeaseCommand = (numberOfKeys: number, ...args: (string | number)[]) => Promise<number[]>;

/** A connection that never makes anybody wait: no queue, no retries of commands, and a deadline for each. */
export function connectStore(url: string, onError: (error: Error) => void): Redis {
  const redis = new Redis(url, {
    lazyConnect: false,
    enableOfflineQueue: false,
    commandTimeout: STORE_TIMEOUT,
    connectTimeout: 1_000,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // A primary that became a replica must be left for the one that its name now leads to.
    reconnectOnError: (error) => error.message.startsWith("READONLY"),
    retryStrategy: (times) => Math.min(1_000, 50 * 2 ** Math.min(times, 5)),
  });
  redis.on("error", onError);
  // `numberOfKeys` is left out: the number of buckets differs from call to call.
  redis.defineCommand("tidegateLease", { lua: LEASE });
  return redis;
}

/** The buckets of all fleet limits of one fleet. */
export class LeaseStore {
  readonly #redis: Redis & { tidegateLease?: LeaseCommand };
  readonly #prefix: string;
  readonly #gateway: string;
  readonly #clock: Clock;
  /**
   * Redis' time (µs) less this gateway's, as of the last time that Redis was asked for it. It is off by half a round trip
   * at most, and so are the buckets, once: what was taken is in them whoever's time it was.
   */
  #ahead: number | undefined;

  /** @param fleet part of every key · @param gateway this gateway's own name, unlike any other's */
  constructor(redis: Redis, fleet: string, gateway: string, clock: Clock) {
    this.#redis = redis;
    this.#clock = clock;
    // The braces keep all keys of a fleet in one slot of a Redis Cluster.
    this.#prefix = `tidegate:{${fleet}}`;
    this.#gateway = gateway;
  }

  get ready(): boolean {
    return this.#redis.status === "ready";
  }

  /** One limit's buckets, to look at or to fill. */
  buckets({ name, rate, burst }: Limit): FleetBuckets {
    return new FleetBuckets(this.#redis, `${this.#prefix}:limit:${name}`, rate, burst);
  }

  /** Where a bucket is kept. @param key a digest: what names a user stays out of Redis */
  nameOf(limit: string, key: string): string {
    return `${this.#prefix}:limit:${limit}:${key}`;
  }

  /**
   * One command.
   *
   * @param present says that this gateway lives, and asks how many do
   * @throws when Redis did not do it, or perhaps did and did not say so in time
   */
  async lease(asks: readonly LeaseAsk[], present: boolean): Promise<LeaseReply> {
    const keys = [`${this.#prefix}:gateways`, ...asks.map((a) => a.key)];
    const sent = this.#clock.now();
    const time = present || this.#ahead === undefined ? "" : Math.round(sent * 1000 + this.#ahead);
    const args: (string | number)[] = [present ? this.#gateway : "", GATEWAY_LIVES * 1000, time];
    for (const { rate, burst, debt, want } of asks) args.push(1e6 / rate, burst, debt, want);
    const reply = await this.#redis.tidegateLease!(keys.length, ...keys, ...args);
    if (time === "") this.#ahead = reply[1]! - ((sent + this.#clock.now()) / 2) * 1000;
    return {
      grants: asks.map((_, i) => ({
        granted: reply[2 + i * 4]!,
        wait: Math.ceil(reply[3 + i * 4]! / 1000),
        remaining: reply[4 + i * 4]!,
        full: Math.ceil(reply[5 + i * 4]! / 1000),
      })),
      gateways: present ? reply[0]! : undefined,
    };
  }
}

/** One fleet limit's buckets as rate-limiter-flexible sees them: `get` what a key has left, `delete` to fill it. */
export class FleetBuckets extends RateLimiterRedis {
  readonly #redis: Redis;
  readonly #rate: number;

  constructor(redis: Redis, prefix: string, rate: number, burst: number) {
    super({
      storeClient: redis,
      keyPrefix: prefix,
      points: burst,
      duration: Math.max(1, Math.ceil(burst / rate)),
      rejectIfRedisNotReady: true,
    });
    this.#redis = redis;
    this.#rate = rate;
  }

  /** @internal `[µs until the bucket is full, of which µs per token]` */
  async _get(key: string): Promise<[number, number] | null> {
    const [[, time], [, full]] = (await this.#redis.multi().time().get(key).exec()) as [
      [null, [string, string]],
      [null, string | null],
    ];
    if (full === null) return null;
    const now = Number(time[0]) * 1e6 + Number(time[1]);
    return [Math.max(0, Number(full) - now), 1e6 / this.#rate];
  }

  /** @internal */
  _getRateLimiterRes(_key: string, _changed: number, [full, per]: [number, number]): RateLimiterRes {
    const consumed = full / per;
    const remaining = Math.max(0, Math.floor(this.points - consumed));
    const wait = remaining > 0 ? 0 : Math.ceil((consumed - this.points + 1) * (per / 1000));
    return new RateLimiterRes(remaining, wait, Math.ceil(consumed), false);
  }
}
