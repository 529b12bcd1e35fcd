/** Logs that become traffic: the same mix, arrivals and users, under other names. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom } from "../../../model/clock.ts";
import { type Recorded, Recording } from "../../../model/replay/recording.ts";

const nginx = (at: number, target: string, client = "192.0.2.7", method = "GET"): string => {
  const [, month, day, year, time] = /^\w+, (\d+) (\w+) (\d+) (\S+)/.exec(new Date(at).toUTCString())!;
  return `${client} - - [${month!.padStart(2, "0")}/${day}/${year}:${time} +0000] "${method} ${target} HTTP/1.1" 200 1 "-" "x"`;
};
const T = Date.UTC(2026, 10, 11);

function recorded(lines: readonly string[], secret = "s", pieces = 1_000): Recorded {
  const recording = new Recording({ secret, key: "uid" });
  const text = lines.map((line) => `${line}\n`).join("");
  for (let at = 0; at < text.length; at += pieces) recording.push(text.slice(at, at + pieces));
  return recording.end();
}

describe("a recording", () => {
  it("has the arrivals of the log, second by second, however it comes in pieces", () => {
    const counts = [3, 0, 7, 1];
    const lines = counts.flatMap((n, s) => Array.from({ length: n }, () => nginx(T + s * 1_000, "/a")));
    for (const pieces of [1, 17, 1e6]) {
      const { curve, seconds, rate, requests } = recorded(lines, "s", pieces);
      assert.deepEqual(
        curve,
        counts.flatMap((n, s) => [
          { at: s, rate: n },
          { at: s + 1, rate: n },
        ]),
      );
      assert.deepEqual([seconds, rate, requests], [4, 7, 11]);
    }
  });

  it("keeps the mix, without what names one of many", () => {
    const targets = [
      "/cart/17?uid=ann",
      "/cart/18?uid=bob&token=secret",
      "/users/ann/orders?uid=ann",
      "/hall",
    ];
    const { mix } = recorded([
      ...targets.map((target) => nginx(T, target)),
      nginx(T, "/cart/9", "a", "POST"),
    ]);
    assert.deepEqual(
      mix.map(({ method, path, share }) => [method, path, share]),
      [
        ["GET", "/cart/{n}", 0.4],
        ["GET", "/hall", 0.2],
        ["GET", "/users/{key}/orders", 0.2],
        ["POST", "/cart/{n}", 0.2],
      ],
    );
  });

  it("keeps how often each user asks, and nobody's name", () => {
    const users = ["ann", "bob", "cy", "dee"];
    const lines = users.flatMap((user, i) =>
      Array.from({ length: 8 >> i }, () => nginx(T, `/cart/1?uid=${user}&t=secret`, "203.0.113.9")),
    );
    const whole = recorded(lines, "one");
    assert.deepEqual(whole.weights, [8 / 15, 4 / 15, 2 / 15, 1 / 15]);
    assert.equal(whole.users, 4);
    const text = JSON.stringify(whole);
    for (const name of [...users, "secret", "203.0.113"]) assert.ok(!text.includes(name), name);
    assert.deepEqual(recorded(lines, "one").keys, whole.keys, "one secret: the same names");
    assert.equal(recorded(lines, "two").keys.filter((key) => whole.keys.includes(key)).length, 0);
  });

  it("of a large log keeps the ranks of Zipf's law, in bounded memory", () => {
    const random = seededRandom(4);
    const recording = new Recording({ secret: "s", key: "uid" });
    const population = 60_000;
    const sums: number[] = [];
    for (let i = 1; i <= population; i++) sums.push((sums.at(-1) ?? 0) + 1 / i);
    const n = 200_000;
    for (let i = 0; i < n; i++) {
      const wanted = random.next() * sums.at(-1)!;
      let [low, high] = [0, population - 1];
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (wanted < sums[middle]!) high = middle;
        else low = middle + 1;
      }
      recording.push(`${nginx(T + i, `/cart/${i}?uid=u${low}`)}\n`);
    }
    const { weights, keys, users, mix } = recording.end();
    assert.ok(keys.length <= 5_000 && mix.length === 1 && users > 20_000);
    assert.ok(Math.abs(weights.reduce((sum, one) => sum + one, 0) - 1) < 1e-9);
    for (const rank of [1, 2, 5, 20, 100]) {
      const expected = 1 / rank / sums.at(-1)!;
      assert.ok(
        Math.abs(weights[rank - 1]! / expected - 1) < 0.2,
        `rank ${rank}: ${weights[rank - 1]} of ${expected}`,
      );
    }
  });

  it("of a day has fewer and longer steps, and loses no request", () => {
    const lines = Array.from({ length: 5_000 }, (_, i) => nginx(T + i * 17_000, "/a"));
    const { curve, requests } = recorded(lines);
    assert.ok(curve.length <= 7_200, `${curve.length}`);
    const made = curve.reduce(
      (sum, { at, rate }, i) => sum + (i % 2 === 1 ? (at - curve[i - 1]!.at) * rate : 0),
      0,
    );
    assert.ok(Math.abs(made - requests) < 1e-6);
  });

  it("counts what is garbage, stress, or from another day, and takes a log that is cut off", () => {
    const own = JSON.stringify({
      ...{
        time: new Date(T).toISOString(),
        method: "GET",
        path: "/cart/1",
        host: "shop.test",
        client: "192.0.2.1",
      },
      ...{ status: 200, route: "cart", unit: "sh", slot: 5, stress: "sr-1" },
    });
    const recording = new Recording({ secret: "s", key: "uid" });
    const lines = [
      nginx(T, "/a"),
      "\u0000\u001b[2J",
      own,
      nginx(0, "/a"),
      "{",
      own.replace(',"stress":"sr-1"', ""),
    ];
    recording.push(`${lines.join("\r\n")}\n${"x".repeat(200_000)}`);
    recording.push("x".repeat(10));
    const { lines: all, requests, garbage, others, strays, mix } = recording.end();
    assert.deepEqual([all, requests, garbage, others, strays], [7, 2, 3, 1, 1]);
    assert.deepEqual(mix.find(({ host }) => host === "shop.test")?.path, "/cart/{n}");
    const { requests: none, curve, rate, seconds } = recorded(["what?"]);
    assert.deepEqual([none, curve, rate, seconds], [0, [], 0, 0]);
  });
});
