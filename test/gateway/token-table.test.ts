import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { hashKey } from "../../model/hash.ts";
import { seededRandom } from "../../model/clock.ts";
import { bucketShape, TokenTable, tokenTableBytes } from "../../gateway/token-table.ts";

const SECOND = 1_000_000_000n;
const START = 1_000n * SECOND;

function table(keys = 100): TokenTable {
  return new TokenTable(new SharedArrayBuffer(tokenTableBytes(keys)), keys);
}

describe("a token bucket", () => {
  it("admits its burst at once and then its rate", () => {
    const buckets = table();
    const shape = bucketShape(10, 5);
    const admitted = Array.from({ length: 8 }, () => buckets.take(1, 2, START, 1, shape) === 0n);
    assert.deepEqual(admitted, [true, true, true, true, true, false, false, false]);
    assert.equal(buckets.take(1, 2, START, 1, shape), SECOND / 10n, "and says when the next one passes");
    assert.equal(buckets.take(1, 2, START + SECOND / 10n, 1, shape), 0n);
    assert.notEqual(buckets.take(1, 2, START + SECOND / 10n, 1, shape), 0n);
  });

  it("refills without steps: a day of even traffic at its rate is admitted whole", () => {
    const buckets = table();
    const shape = bucketShape(7, 2);
    let refused = 0;
    const requests = 7 * 86_400;
    for (let i = 0; i < requests; i++) {
      const now = START + (BigInt(i) * 86_400n * SECOND) / BigInt(requests) + 1n;
      if (buckets.take(3, 4, now, 1, shape) !== 0n) refused++;
    }
    assert.equal(refused, 0);
  });

  it("never admits more than burst + rate × t in any time t, whatever the order and the costs", () => {
    const step = fc.record({
      wait: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 3_000_000_000 })),
      cost: fc.integer({ min: 1, max: 5 }),
    });
    fc.assert(
      fc.property(
        fc.double({ min: 0.01, max: 100_000, noNaN: true }),
        fc.integer({ min: 5, max: 1_000 }),
        fc.array(step, { minLength: 1, maxLength: 200 }),
        (rate, burst, steps) => {
          const buckets = table();
          const shape = bucketShape(rate, burst);
          const admitted: { at: bigint; cost: number }[] = [];
          let now = START;
          for (const { wait, cost } of steps) {
            now += BigInt(wait);
            if (buckets.take(9, 9, now, cost, shape) === 0n) admitted.push({ at: now, cost });
          }
          // Every window that begins and ends with an admission.
          for (let i = 0; i < admitted.length; i++) {
            let sum = 0;
            for (let j = i; j < admitted.length; j++) {
              sum += admitted[j]!.cost;
              const seconds = Number(admitted[j]!.at - admitted[i]!.at) / 1e9;
              // A nanosecond per token is what rounding may lose.
              const most = burst + rate * seconds;
              if (sum > most * (1 + rate * 1e-9) + 1e-6) return false;
            }
          }
          return true;
        },
      ),
      { numRuns: 300 },
    );
  });

  it("is left as it was by a token that is given back", () => {
    const buckets = table();
    const shape = bucketShape(1, 3);
    buckets.take(1, 1, START, 1, shape);
    buckets.giveBack(1, 1, 1, shape);
    const left = Array.from({ length: 4 }, () => buckets.take(1, 1, START, 1, shape) === 0n);
    assert.deepEqual(left, [true, true, true, false]);
  });

  it("keeps what it owes over a change of its rate, and no more than it can hold", () => {
    const buckets = table();
    for (let i = 0; i < 100; i++) buckets.take(1, 1, START, 1, bucketShape(1, 100));
    const smaller = bucketShape(10, 5);
    assert.notEqual(buckets.take(1, 1, START, 1, smaller), 0n);
    assert.equal(buckets.take(1, 1, START + SECOND / 10n, 1, smaller), 0n, "not after a hundred seconds");
  });

  it("of a rate of one an hour and the largest burst stays within what 64 bits hold", () => {
    const buckets = table();
    const shape = bucketShape(1 / 3600, 1_000_000_000);
    for (let i = 0; i < 10; i++) assert.equal(buckets.take(1, 1, START, 1, shape), 0n);
  });
});

describe("a table of token buckets", () => {
  const key = (text: string): [number, number] => [hashKey(text, 11), hashKey(text, 22)];

  it("keeps a hundred thousand spent buckets apart in 1.6 MB", () => {
    const keys = 100_000;
    assert.ok(tokenTableBytes(keys) <= 1_600_100, `${tokenTableBytes(keys)} bytes`);
    const buckets = table(keys);
    const shape = bucketShape(0.001, 2);
    for (let i = 0; i < keys; i++) {
      const [set, tag] = key(`client-${i}`);
      assert.equal(buckets.take(set, tag, START, 2, shape), 0n);
    }
    let forgotten = 0;
    for (let i = 0; i < keys; i++) {
      const [set, tag] = key(`client-${i}`);
      if (buckets.take(set, tag, START, 1, shape) === 0n) forgotten++;
    }
    // Some sets have more than eight keys by chance.
    assert.ok(forgotten < keys * 0.1, `${forgotten} of ${keys} were forgotten`);
  });

  it("lets made-up keys push out each other, not the one that owes more", () => {
    const buckets = table(600);
    const shape = bucketShape(1, 100);
    const greedy = key("greedy");
    for (let i = 0; i < 100; i++) buckets.take(...greedy, START, 1, shape);
    for (let i = 0; i < 100_000; i++) buckets.take(...key(`made-up-${i}`), START, 1, shape);
    assert.notEqual(buckets.take(...greedy, START, 1, shape), 0n, "its spent bucket is remembered");
  });

  it("gives the place of a bucket that is full again to whoever comes", () => {
    const buckets = table(6); // one set
    const shape = bucketShape(10, 10);
    for (let i = 0; i < 8; i++) buckets.take(...key(`early-${i}`), START, 10, shape);
    const later = START + 2n * SECOND;
    for (let i = 0; i < 8; i++) assert.equal(buckets.take(...key(`late-${i}`), later, 10, shape), 0n);
    for (let i = 0; i < 8; i++) assert.notEqual(buckets.take(...key(`late-${i}`), later, 1, shape), 0n);
  });

  it("admits within burst + rate × t for each of many keys in any order", () => {
    const random = seededRandom(7);
    const buckets = table(1_000);
    const shape = bucketShape(5, 3);
    const admitted = new Map<number, number>();
    let now = START;
    for (let i = 0; i < 50_000; i++) {
      now += BigInt(Math.floor(random.next() * 2_000_000));
      const user = Math.floor(random.next() * 300);
      if (buckets.take(...key(`u${user}`), now, 1, shape) === 0n)
        admitted.set(user, (admitted.get(user) ?? 0) + 1);
    }
    const most = 3 + 5 * (Number(now - START) / 1e9);
    for (const [user, n] of admitted) assert.ok(n <= most + 1e-6, `user ${user}: ${n} of ${most}`);
  });
});
