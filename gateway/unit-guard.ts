/**
 * The unit guard: a Fastify plugin for a unit's own app, in front of its handlers. It refuses writes that are not its unit's.
 *
 * A gateway that was frozen, cut off or forgotten may send a write by an old table. Its unit knows better: from the control
 * plane's signed snapshots, from the catch-up that asks whether data has arrived, or from what it was started with.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { wallClock } from "../host/clock.ts";
import { isSafe } from "../model/decide.ts";
import type { Placement } from "../model/fleet.ts";
import { type Closing, type KnownPlacement, SlotOwnership } from "../model/slot-ownership.ts";
import { type CatchUpOptions, registerCatchUp } from "./unit-guard-catch-up.ts";
import { GuardFeed, type GuardFeedOptions } from "./unit-guard-feed.ts";
import { GuardFile } from "./unit-guard-file.ts";
import { GUARD_FIELD, type GuardRefusal, malformed, misdirected, unstamped } from "./unit-guard-refusal.ts";
import { type GuardedRequest, readStamp } from "./unit-guard-stamp.ts";

export type { GuardedRequest } from "./unit-guard-stamp.ts";

export interface UnitGuardOptions {
  /** Its unit, as the fleet names it. */
  readonly unit: string;
  /** What it begins with, where there is nothing better. */
  readonly placement?: Pick<Placement, "slots" | "map" | "pins" | "epoch">;
  readonly controlPlane?: GuardFeedOptions;
  /** Where the last good placement rests, and what was closed: a directory of its own. Undefined: a restart forgets. */
  readonly state?: string;
  /** A route that closes slots at a catch-up. */
  readonly catchUp?: CatchUpOptions;
  /** Writes as long as it knows no placement. Default `refuse`, with 503. */
  readonly whenUnknown?: "refuse" | "accept";
  /** Writes that came through no gateway. Default `refuse`, with 421. */
  readonly unstamped?: "refuse" | "accept";
  /** Paths whose writes need not come through a gateway. Default `/healthz`. */
  readonly exempt?: readonly string[];
  /** Milliseconds since 1970; for tests. */
  readonly now?: () => number;
}

/** What an app has of its guard, as `app.tidegate`. */
export interface UnitGuard {
  readonly unit: string;
  /** The placement's epoch as far as it is known; −1 before. */
  readonly epoch: number;
  /** Writes that were refused, by cause. */
  readonly refused: ReadonlyMap<string, number>;
  /** @returns whether it was newer than what was known */
  learn(known: KnownPlacement): boolean;
  /**
   * From now on no write of these slots under this epoch, or an older one, is taken.
   *
   * @returns how many slots and keys it closed
   * @throws Error when a restart would forget it: the disk does not take it
   */
  close(closing: Closing): number;
}

declare module "fastify" {
  interface FastifyRequest {
    /** Null: the request came through no gateway. */
    tidegate: GuardedRequest | null;
  }
  interface FastifyInstance {
    tidegate: UnitGuard;
  }
}

class Guard implements UnitGuard {
  readonly unit: string;
  readonly ownership: SlotOwnership;
  readonly refused = new Map<string, number>();
  readonly #options: UnitGuardOptions;
  readonly #exempt: ReadonlySet<string>;
  readonly #file: GuardFile | undefined;

  constructor(options: UnitGuardOptions, file: GuardFile | undefined) {
    this.unit = options.unit;
    this.ownership = new SlotOwnership(options.unit);
    this.#options = options;
    this.#file = file;
    this.#exempt = new Set([
      ...(options.exempt ?? ["/healthz"]),
      ...(options.catchUp === undefined ? [] : [options.catchUp.path]),
    ]);
  }

  get epoch(): number {
    return this.ownership.epoch;
  }

  learn(known: KnownPlacement): boolean {
    return this.ownership.learn(known);
  }

  close(closing: Closing): number {
    const closed = this.ownership.close(closing);
    this.#file?.writeClosings(this.ownership.closings());
    return closed;
  }

  readonly onRequest = (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    const refusal = this.#judge(request);
    if (refusal === undefined) done();
    else this.#refuse(reply, refusal);
  };

  #judge(request: FastifyRequest): GuardRefusal | undefined {
    const { headers, method } = request;
    const stamp = readStamp(headers);
    // Nobody knows what goes through a tunnel, so it is taken for a write.
    const isWrite = !isSafe(method) || headers.upgrade !== undefined;
    if (stamp === undefined) {
      if (!isWrite || this.#options.unstamped === "accept" || this.#exempt.has(pathOf(request.originalUrl)))
        return undefined;
      return unstamped(this.unit);
    }
    if (typeof stamp === "string") return malformed(stamp);
    const { ownership } = this;
    if (stamp.unit !== this.unit) {
      return misdirected("unit", this.unit, stamp, this.epoch, ownership.ownerOf(stamp));
    }
    request.tidegate = stamp;
    // Reads fail over to units that own nothing of theirs.
    if (!isWrite) return undefined;
    const cause = ownership.misdirection(stamp.slot, stamp.epoch, stamp.pin);
    if (cause === undefined || (cause === "unknown" && this.#options.whenUnknown === "accept"))
      return undefined;
    return misdirected(cause, this.unit, stamp, this.epoch, ownership.ownerOf(stamp));
  }

  #refuse(reply: FastifyReply, { status, cause, body }: GuardRefusal): void {
    this.refused.set(cause, (this.refused.get(cause) ?? 0) + 1);
    if (status === 503) reply.header("retry-after", "1");
    if (status === 421) reply.header(GUARD_FIELD, cause);
    reply.code(status).header("cache-control", "no-store").type("application/problem+json").send(body);
  }
}

/** @throws Error with a sentence for people, at the app's start */
export async function unitGuard(app: FastifyInstance, options: UnitGuardOptions): Promise<void> {
  if (typeof options.unit !== "string" || options.unit === "") {
    throw new Error("the unit guard does not know its unit; expected { unit: NAME }, as the fleet names it");
  }
  const { placement, controlPlane, state, catchUp, now = wallClock } = options;
  const file = state === undefined ? undefined : new GuardFile(state);
  const guard = new Guard(options, file);
  if (placement !== undefined) {
    guard.learn({ leadership: 0, revision: 0, placement: { key: [], ...placement } });
  }
  for (const closing of file?.readClosings() ?? []) guard.ownership.close(closing);
  app.decorate("tidegate", guard);
  app.decorateRequest("tidegate", null);
  app.addHook("onRequest", guard.onRequest);
  if (catchUp !== undefined) await app.register(registerCatchUp, { guard, now, ...catchUp });
  if (controlPlane === undefined) return;
  const feed = new GuardFeed(controlPlane, file, (known) => guard.learn(known), app.log);
  feed.start();
  app.addHook("onClose", async () => feed.stop());
}

// Its hooks are for the whole app, not for a scope of its own.
Object.assign(unitGuard, {
  [Symbol.for("skip-override")]: true,
  [Symbol.for("fastify.display-name")]: "tidegate",
});

function pathOf(url: string): string {
  const query = url.indexOf("?");
  return query === -1 ? url : url.slice(0, query);
}
