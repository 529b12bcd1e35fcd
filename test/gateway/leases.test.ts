/** Leases of a fleet limit, with a store that keeps its buckets by hand and a clock that is turned by hand. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../../model/clock.ts";
import type { Limit } from "../../model/limit.ts";
import type { LeaseAsk, LeaseReply } from "../../gateway/lease-store.ts";
import { LEASE, LeaseTable, leaseTableBytes } from "../../gateway/lease-table.ts";
import { type LeasePlan, Leases } from "../../gateway/leases.ts";
import { leaseCredit } from "../../gateway/limiter.ts";

const LIMIT: Limit = {
  name: "writes",
  rate: 5_000,
  burst: 5_000,
  by: [],
  scope: "fleet",
  mode: "enforce",
  keys: 100,
};

/** The script of lease-store.ts in TypeScript; wire tests run the script itself. */
class HandStore {
  readonly #full = new Map<string, number>();
  granted = 0;
  charged = 0;
  commands = 0;

  lease(asks: readonly LeaseAsk[], now: number, gateways: number): LeaseReply {
    this.commands++;
    const grants = asks.map(({ key, rate, burst, debt, want }) => {
      const per = 1000 / rate;
      const latest = now + burst * per;
      let full = Math.max(now, this.#full.get(key) ?? now);
      if (want < 0) full = Math.max(now, full + want * per);
      full = Math.min(full + debt * per, latest + Math.max(burst, 8) * per);
      const granted = Math.max(0, Math.min(want, Math.floor((latest - full) / per + 1e-6)));
      full += granted * per;
      this.#full.set(key, full);
      this.granted += granted + Math.min(want, 0);
      this.charged += debt;
      const remaining = Math.max(0, Math.floor((latest - full) / per + 1e-6));
      const wait = granted < want || remaining === 0 ? Math.ceil(Math.max(0, full + per - latest)) : 0;
      return { granted, wait, remaining, full: Math.ceil(full - now) };
    });
    return { grants, gateways };
  }
}

/** A gateway with one key, as a thread and the main thread would run it. */
class HandGateway {
  readonly table: LeaseTable;
  readonly leases: Leases;
  readonly spec: Limit;
  admitted = 0;
  refused = 0;
  alive = true;
  #pending: { plan: LeasePlan; reply: LeaseReply; at: number } | undefined;

  constructor(spec: Limit, now: number) {
    this.spec = spec;
    this.table = new LeaseTable(new SharedArrayBuffer(leaseTableBytes(spec.keys)), spec.keys);
    this.leases = new Leases(now);
    this.leases.install([{ spec, table: this.table }]);
  }

  request(now: number): boolean {
    const row = this.table.row(1, 1);
    if (this.table.fresh) this.leases.seen(this.spec.name, row, "key", now);
    const passes =
      this.table.take(
        row,
        1,
        Math.max(leaseCredit(this.spec), Math.floor(this.spec.burst / this.leases.gateways)),
      ) === LEASE.taken;
    if (passes) this.admitted++;
    else this.refused++;
    return passes;
  }

  /** Every 25 ms; the store's answer comes 3 ms later. */
  look(store: HandStore, now: number, gateways: number): void {
    if (this.#pending !== undefined && now >= this.#pending.at) {
      this.leases.granted(this.#pending.plan, this.#pending.reply, now);
      this.#pending = undefined;
    }
    if (now % 25 !== 0) return;
    const plan = this.leases.look(now);
    if (plan !== undefined)
      this.#pending = { plan, reply: store.lease(plan.asks, now + 1, gateways), at: now + 3 };
  }
}

/** Runs gateways for a while, millisecond by millisecond. @param load requests a second of each gateway at a time */
function run(
  gateways: HandGateway[],
  store: HandStore,
  from: number,
  milliseconds: number,
  load: (i: number, ms: number) => number,
): Float64Array {
  const perMillisecond = new Float64Array(milliseconds);
  const due = gateways.map((_, i) => i * 0.37);
  for (let ms = 0; ms < milliseconds; ms++) {
    const now = from + ms;
    gateways.forEach((gateway, i) => {
      if (!gateway.alive) return;
      due[i]! += load(i, ms) / 1000;
      for (; due[i]! >= 1; due[i]!--) if (gateway.request(now)) perMillisecond[ms]!++;
      // Gateways did not start in the same moment.
      gateway.look(store, now - i * 6, gateways.length);
    });
  }
  return perMillisecond;
}

/** The least and the most that were admitted in any ten seconds from `skip` on. */
function windows(perMillisecond: Float64Array, skip: number): [number, number] {
  let sum = 0;
  let least = Number.POSITIVE_INFINITY;
  let most = 0;
  for (let ms = skip; ms < perMillisecond.length; ms++) {
    sum += perMillisecond[ms]!;
    if (ms - skip >= 10_000) sum -= perMillisecond[ms - 10_000]!;
    if (ms - skip < 9_999) continue;
    least = Math.min(least, sum);
    most = Math.max(most, sum);
  }
  return [least, most];
}

const fleet = (n: number, spec = LIMIT): HandGateway[] =>
  Array.from({ length: n }, () => new HandGateway(spec, 1_000));

describe("leases of four gateways", () => {
  const shares: Record<string, (i: number, ms: number) => number> = {
    "even, twice the limit": () => 2_500,
    "uneven, twice the limit": (i) => [7_000, 2_000, 800, 200][i]!,
    "uneven, a tenth above the limit": (i) => [3_850, 1_100, 440, 110][i]!,
    "uneven, five times the limit": (i) => [17_500, 5_000, 2_000, 500][i]!,
    "moving from one gateway to another": (i, ms) => (i === Math.floor(ms / 5_000) % 4 ? 8_000 : 400),
  };
  for (const [name, load] of Object.entries(shares)) {
    it(`admit within 2 % of the limit in any ten seconds: ${name}`, () => {
      const store = new HandStore();
      const gateways = fleet(4);
      const seconds = 40;
      const admitted = run(gateways, store, 1_000, seconds * 1_000, load);
      const [least, most] = windows(admitted, 12_000); // the burst is spent first
      assert.ok(least >= 49_000 && most <= 51_000, `${least} to ${most} in ten seconds`);
      const requests = gateways.reduce((n, g) => n + g.admitted + g.refused, 0);
      assert.ok(store.commands / requests < 0.01, `${store.commands} commands for ${requests} requests`);
    });
  }

  it("refuse nothing below the limit, however uneven and however it moves", () => {
    for (const load of [
      (i: number) => [3_000, 900, 400, 100][i]!,
      (i: number, ms: number) => (i === Math.floor(ms / 3_000) % 4 ? 4_000 : 100),
      (_: number, ms: number) => (Math.floor(ms / 2_000) % 2 === 0 ? 1_100 : 10),
    ]) {
      const store = new HandStore();
      const gateways = fleet(4);
      run(gateways, store, 1_000, 20_000, load);
      assert.equal(
        gateways.reduce((n, g) => n + g.refused, 0),
        0,
      );
    }
  });

  it("overshoot by no more than a lease when one is killed", () => {
    const store = new HandStore();
    const gateways = fleet(4);
    const seconds = 40;
    const admitted = run(gateways, store, 1_000, seconds * 1_000, (i, ms) => {
      if (ms === 20_000) gateways[0]!.alive = false;
      return i === 0 ? 5_000 : 2_500;
    });
    const [, most] = windows(admitted, 3_000);
    assert.ok(most <= 50_000 + 0.1 * LIMIT.rate * 4, `${most} in ten seconds`);
    const [least] = windows(admitted.subarray(22_000), 0);
    assert.ok(least >= 49_000, `${least}: the others take over what it leaves`);
  });

  it("for many slow keys pass each key's rate, and no more", () => {
    const spec = { ...LIMIT, rate: 2, burst: 4 };
    const store = new HandStore();
    const gateways = fleet(2, spec);
    run(gateways, store, 1_000, 60_000, () => 10);
    const admitted = gateways.reduce((n, g) => n + g.admitted, 0);
    assert.ok(admitted >= 110 && admitted <= 4 + 2 * 60 + 2, `${admitted} of 124`);
  });
});

describe("leases", () => {
  it("that the store granted, less what was given back, stay within burst + rate × t whatever the load", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 3_000 }),
        fc.integer(),
        (n, rate, seed) => {
          const random = seededRandom(seed);
          const spec = { ...LIMIT, rate, burst: Math.max(1, Math.ceil(rate / 2)) };
          const store = new HandStore();
          const gateways = fleet(n, spec);
          const loads = gateways.map(() => random.next() * rate * 3);
          const milliseconds = 4_000;
          run(gateways, store, 1_000, milliseconds, (i, ms) => (ms % 1_000 < 700 ? loads[i]! : 0));
          const most = spec.burst + (rate * (milliseconds + 5)) / 1_000;
          const admitted = gateways.reduce((sum, g) => sum + g.admitted, 0);
          assert.ok(store.granted <= most + 1e-6, `granted ${store.granted} of ${most}`);
          // Beyond that only credit, which is charged with the next lease.
          const credit = leaseCredit(spec) * n;
          assert.ok(admitted <= most + credit + 1, `admitted ${admitted} of ${most} + ${credit}`);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("are let go when nobody uses the key, and the tokens go back", () => {
    const store = new HandStore();
    const [gateway] = fleet(1) as [HandGateway];
    run([gateway], store, 1_000, 3_000, () => 1_000);
    const { granted } = store;
    run([gateway], store, 4_000, 5_000, () => 0);
    assert.equal(gateway.leases.keysOf("writes"), 0);
    assert.ok(store.granted < granted, "some were given back");
    assert.ok(Math.abs(store.granted + store.charged - gateway.admitted) <= 1, "and none was lost");
  });

  it("of rows whose thread died before it could name them are freed", () => {
    const [gateway] = fleet(1) as [HandGateway];
    const row = gateway.table.row(5, 5);
    gateway.table.take(row, 1, 10);
    gateway.leases.threadDied();
    assert.deepEqual([...gateway.table.rows()], []);
  });

  it("are not asked for again at once when the store failed", () => {
    const leases = fleet(1)[0]!;
    leases.request(1_000);
    assert.notEqual(leases.leases.look(1_025), undefined);
    leases.leases.failed(1_075);
    assert.equal(leases.leases.look(1_100), undefined);
    assert.notEqual(leases.leases.look(1_350), undefined);
  });
});
