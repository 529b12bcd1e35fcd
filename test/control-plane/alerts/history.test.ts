/** What the history counts, by any window and label, within its bounds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { COARSE, History, isOld } from "../../../control-plane/alerts/history.ts";
import { ackToken, readAckToken } from "../../../control-plane/alerts/ack-token.ts";
import { SteadyClock } from "../../../control-plane/alerts/steady-clock.ts";
import { WIDTH } from "../../../control-plane/figure-ring.ts";
import { OUTCOME } from "../../../model/outcome.ts";

const START = 1_800_000_000_000;
const MINUTE = 60_000;

function series(route: string, unit: string, success: number, errors: number) {
  const row = new Float64Array(WIDTH);
  row[OUTCOME.success] = success;
  row[OUTCOME.error] = errors;
  return { name: { route, unit, version: "stable" as const }, row };
}

test("windows hold what happened in them, by route and unit", () => {
  const history = new History();
  // An hour of one request a second in hz; in its last five minutes sh fails.
  for (let second = 0; second < 3_600; second++) {
    const late = second >= 3_300 ? [series("cart", "sh", 0, 1)] : [];
    history.add({ known: 1_000, series: [series("hall", "hz", 1, 0), ...late] }, START + second * 1_000);
  }
  history.look(START + 3_600_000 - 1);
  assert.deepEqual(history.counted(5 * MINUTE, 0, { unit: "sh" }), {
    requests: 300,
    served: 300,
    errors: 300,
    known: 300_000,
  });
  assert.deepEqual(history.counted(60 * MINUTE, 0, {}), {
    requests: 3_900,
    served: 3_900,
    errors: 300,
    known: 3_600_000,
  });
  assert.equal(history.counted(360 * MINUTE, 0, { route: "cart" }).errors, 300);
  assert.equal(history.counted(60 * MINUTE, 0, { route: "cart", unit: "hz" }).requests, 0);
  assert.equal(history.counted(60 * MINUTE, 10 * MINUTE, { unit: "sh" }).errors, 0);
});

test("what is stored is what another process goes on with", () => {
  const [one, other] = [new History(), new History()];
  for (let second = 0; second < 900; second++) {
    const now = START + second * 1_000;
    one.add({ known: 1_000, series: [series("cart", "sh", 8, 2)] }, now);
    const cell = one.closed(now);
    if (cell !== undefined) other.restore(cell);
  }
  other.look(START + 899_000);
  const { served, errors, known } = other.counted(60 * MINUTE, 0, { unit: "sh" });
  assert.deepEqual([served, errors, known], [6_000, 1_200, 600_000]);
  // What it saw itself is not replaced by less.
  const whole = one.counted(60 * MINUTE, 0, {});
  one.restore({ at: Math.floor(START / COARSE), known: 1, series: [] });
  assert.deepEqual(one.counted(60 * MINUTE, 0, {}), whole);
});

test("series beyond its bound count for the fleet, and names that are gone give their places up", () => {
  const history = new History();
  const many = Array.from({ length: 2_500 }, (_, i) => series(`r-${i}`, "hz", 1, 0));
  history.add({ known: 1_000, series: many }, START);
  assert.equal(history.counted(5 * MINUTE, 0, {}).requests, 2_500);
  assert.equal(history.counted(5 * MINUTE, 0, { route: "r-2400" }).requests, 0);
  // A day and more later nobody knows the old ones.
  for (let cell = 1; cell < 302; cell++) {
    history.add({ known: 1_000, series: [series("new", "hz", 1, 0)] }, START + cell * COARSE);
  }
  const now = START + 302 * COARSE;
  history.add(
    { known: 1_000, series: Array.from({ length: 1_500 }, (_, i) => series(`s-${i}`, "hz", 1, 0)) },
    now,
  );
  assert.equal(history.counted(5 * MINUTE, 0, { route: "s-1400" }).requests, 1);
  assert.equal(isOld({ at: Math.floor(START / COARSE) }, now), true);
});

test("a link proves its message, until it is over, and nothing else", () => {
  const key = Buffer.alloc(32, 1).toString("base64url");
  const claim = { message: "am-0123456789abcdef-kx1-3", channel: "chat", until: START + MINUTE };
  const token = ackToken(claim, key);
  assert.match(token, /^[A-Za-z0-9._~-]+$/, "it stands in an address as it is");
  assert.deepEqual(readAckToken(token, key, START), claim);
  assert.equal(readAckToken(token, key, START + MINUTE), undefined);
  assert.equal(readAckToken(token, Buffer.alloc(32, 2).toString("base64url"), START), undefined);
  const later = token.replace(claim.until.toString(36), (claim.until + 1e9).toString(36));
  assert.notEqual(later, token);
  assert.equal(readAckToken(later, key, START), undefined);
  assert.equal(readAckToken(token.replace("chat", "mail"), key, START), undefined);
  for (const text of ["", "~~~", token.slice(0, -1), `${token}a`])
    assert.equal(readAckToken(text, key, START), undefined);
});

test("the steady clock does not jump with the wall, nears it, and goes on by itself", () => {
  let [wall, monotonic] = [START, 0];
  const clock = new SteadyClock(
    () => wall,
    () => monotonic,
  );
  const pass = (milliseconds: number): number => {
    wall += milliseconds;
    monotonic += milliseconds;
    return clock.now();
  };
  assert.equal(pass(1_000), START + 1_000);
  wall += 3_600_000;
  assert.equal(pass(1_000), START + 2_100);
  for (let i = 0; i < 40_000; i++) pass(1_000);
  assert.equal(clock.now(), wall);
  wall -= 5_000;
  const before = clock.now();
  assert.ok(pass(1_000) > before, "it never goes back");
});
