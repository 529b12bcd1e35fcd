/** Logs, line by line: what they say, who moves, and what stays bounded however long they are. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Config } from "../../../model/config.ts";
import { decide } from "../../../model/decide.ts";
import { effective } from "../../../model/effective.ts";
import { slotOf } from "../../../model/hash.ts";
import type { OverlayChange } from "../../../model/overlay.ts";
import { Distinct } from "../../../model/replay/distinct.ts";
import { parseLine } from "../../../model/replay/logged-request.ts";
import { Replay } from "../../../model/replay/replay.ts";
import { compileTable } from "../../../model/table.ts";
import { config, route } from "../../support/config.ts";

const own = (fields: object = {}): string =>
  JSON.stringify({
    ...{
      level: 30,
      time: "2026-11-10T16:00:00.000Z",
      method: "GET",
      path: "/cart/1",
      host: "shop.test",
      client: "192.0.2.1",
    },
    ...{
      status: 200,
      route: "cart",
      unit: "sh",
      version: "stable",
      slot: 500,
      attempts: 1,
      milliseconds: 3,
      trace: "",
      problem: "",
    },
    ...{ log: "access", ...fields },
  });
const nginx = (
  target: string,
  { method = "GET", client = "192.0.2.7", time = "11/Nov/2026:00:00:00 +0800" } = {},
): string =>
  `${client} - frank [${time}] "${method} ${target} HTTP/1.1" 200 2326 "http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)"`;

describe("a line", () => {
  it("of our log has a slot in place of a key", () => {
    assert.deepEqual(parseLine(own()), {
      ...{ method: "GET", host: "shop.test", path: "/cart/1", query: "", client: "192.0.2.1" },
      ...{ route: "cart", slot: 500, at: Date.UTC(2026, 10, 10, 16) },
    });
    assert.equal((parseLine(own({ slot: -1 })) as { slot?: number }).slot, undefined);
  });

  it("of nginx has its query, its own clock, and maybe a whole URL", () => {
    assert.deepEqual(parseLine(nginx("/cart/1?uid=42", { method: "POST" })), {
      ...{ method: "POST", host: "", path: "/cart/1", query: "uid=42", client: "192.0.2.7" },
      ...{ route: undefined, slot: undefined, at: Date.UTC(2026, 10, 10, 16) },
    });
    const { host, path } = parseLine(nginx("http://Shop.test:80/a?b")) as { host: string; path: string };
    assert.deepEqual([host, path], ["shop.test", "/a"]);
    assert.notEqual(parseLine('::1 - - [01/Jan/2026:23:59:59 -0330] "GET / HTTP/2.0" 304 -'), undefined);
  });

  it("of no user is none to replay", () => {
    assert.equal(parseLine(own({ stress: "run-1" })), "not-user");
    assert.equal(parseLine(own({ route: "" })), "not-user");
  });

  it("may be anything else", () => {
    for (const line of [
      "",
      "{",
      "null",
      "{}",
      "[1]",
      own().slice(0, 60),
      own({ slot: "5" }),
      own({ time: "yesterday" }),
      own({ method: "get it" }),
      own({ path: "x" }),
      '{"__proto__":1}',
      nginx("*"),
      nginx("/", { time: "11/Now/2026:00:00:00 +0800" }),
      '192.0.2.1 - - [11/Nov/2026:00:00:00 +0800] "\\x16\\x03\\x01" 400 157 "-" "-"',
      `${"x".repeat(500)} - - [`,
      "\u0000\u001b[2J",
    ]) {
      assert.equal(parseLine(line), undefined, line);
    }
  });
});

describe("different texts", () => {
  it("are counted one by one up to a bound, and estimated beyond it", () => {
    const few = new Distinct(1_000);
    for (let i = 0; i < 3_000; i++) few.add(`u${i % 1_000}`);
    assert.deepEqual([few.size, few.isExact], [1_000, true]);
    for (const many of [1_001, 5_000, 200_000]) {
      const distinct = new Distinct(1_000);
      for (let i = 0; i < many; i++) distinct.add(`user-${i}`);
      for (let i = 0; i < many; i += 7) distinct.add(`user-${i}`);
      assert.equal(distinct.isExact, false);
      assert.ok(Math.abs(distinct.size / many - 1) < 0.03, `${distinct.size} of ${many}`);
    }
  });
});

const KEYS = [
  { from: "header" as const, name: "x-user-id" },
  { from: "query" as const, name: "uid" },
];
const BASE: Config = (() => {
  const cart = route("cart", "/cart/*", { scope: "sharded", failover: "reads" });
  const whole = config([cart, route("hall", "/hall/*", { scope: "center", failover: "all" })]);
  return { ...whole, fleet: { ...whole.fleet, placement: { ...whole.fleet.placement, key: KEYS } } };
})();
const TABLE = compileTable(BASE);
const healthy = { endpoints: new Int32Array(TABLE.endpointCount) };
const laid = (change: OverlayChange) =>
  compileTable(
    effective(BASE, [{ id: "ov-1", change, owner: "", reason: "", since: 0, expires: undefined }]).config,
  );
const MOVES = laid({ kind: "move", slots: [{ first: 410, last: 509 }], keys: [], unit: "hz" });

function replayed(
  text: string,
  after = MOVES,
  { piece = text.length || 1, unhealthy = [] as string[], mostUsers = 1e5 } = {},
) {
  const replay = new Replay({ before: TABLE, after, unhealthy: new Set(unhealthy), mostUsers });
  for (let at = 0; at < text.length; at += piece) replay.push(text.slice(at, at + piece));
  return replay.end();
}
const units = ({ units: all }: ReturnType<typeof replayed>): unknown[] =>
  all.map(({ unit, before, after }) => [unit, before, after]);

describe("a replay", () => {
  it("says who moves by a gateway's log: slots, whatever the keys were", () => {
    const lines = [
      own({ slot: 410 }),
      own({ slot: 509, client: "192.0.2.2", method: "POST" }),
      own({ slot: 509, client: "192.0.2.2" }),
      own({ slot: 510, client: "192.0.2.2" }),
      own({ slot: 3 }),
      own({ slot: -1, route: "hall", path: "/hall/1" }),
    ];
    const found = replayed(`${lines.join("\n")}\n`);
    assert.deepEqual(units(found), [
      ["hz", 2, 5],
      ["sh", 4, 1],
      ["sz", 0, 0],
    ]);
    assert.equal(found.moved.requests, 3);
    assert.deepEqual(found.moved.ways, [{ from: "sh", to: "hz", requests: 3 }]);
    assert.deepEqual(found.users, { all: 5, moved: 2, isExact: true });
    assert.equal(found.byClient, 1);
  });

  it("says of every user in nginx's log what the decision says", () => {
    const keys = Array.from({ length: 500 }, (_, i) => `user ${i}`);
    const text = keys.map((key) => `${nginx(`/cart/1?uid=${encodeURIComponent(key)}`)}\r\n`).join("");
    const found = replayed(text);
    const counts = { hz: [0, 0], sh: [0, 0], sz: [0, 0] };
    let moved = 0;
    for (const key of keys) {
      const asked = {
        method: "GET",
        host: "",
        path: "/cart/1",
        query: `uid=${encodeURIComponent(key)}`,
        headers: [],
        client: "",
      };
      const [was, is] = [TABLE, MOVES].map((table) => {
        const decision = decide(table, healthy, asked);
        assert.ok(!decision.refused);
        return decision.candidates[decision.first]!.unit.name as "hz";
      }) as ["hz", "hz"];
      counts[was][0]!++;
      counts[is][1]!++;
      if (was !== is) moved++;
    }
    assert.ok(moved > 20);
    assert.deepEqual(
      units(found),
      Object.entries(counts).map(([unit, [before, after]]) => [unit, before, after]),
    );
    assert.deepEqual(found.users, { all: 500, moved, isExact: true });
    assert.equal(found.byClient, 0);
  });

  it("takes a client for a user where the log has no key", () => {
    const client = Array.from({ length: 1e4 }, (_, i) => `10.0.${i >> 8}.${i & 255}`).find(
      (one) => slotOf(one, 1_024) === 450,
    )!;
    const found = replayed([nginx("/cart/1", { client }), nginx("/cart/2", { client })].join("\n"));
    assert.deepEqual([found.byClient, found.users.moved, found.moved.requests], [2, 1, 2]);
  });

  it("knows what finds no unit, and where a drained unit's reads go", () => {
    const drained = laid({ kind: "drain", unit: "sh", ramp: 0, deadline: 0 });
    const found = replayed([own({ slot: 600 }), own({ slot: 600, method: "POST" })].join("\n"), drained);
    // A drain leaves a unit's own writes with it.
    assert.deepEqual(found.moved.ways, [{ from: "sh", to: "hz", requests: 1 }]);
    const dead = replayed(own({ slot: 600, method: "POST" }), MOVES, { unhealthy: ["sh"] });
    assert.deepEqual(dead.failing, { before: 1, after: 1 });
    const saved = replayed(own({ slot: 420, method: "POST" }), MOVES, { unhealthy: ["sh"] });
    assert.deepEqual(saved.failing, { before: 1, after: 0 });
    assert.deepEqual(saved.moved.ways, [{ from: "", to: "hz", requests: 1 }]);
  });

  it("is the same in whatever pieces the log comes, and counts and shows what is none of it", () => {
    const text = [
      own({ slot: 450 }),
      "what?\u001b[31m",
      "y".repeat(70_000),
      "",
      nginx("/nowhere"),
      own({ slot: 9_999 }),
      own({ stress: "r" }),
      own(),
    ].join("\n");
    const whole = replayed(text);
    assert.deepEqual(
      [whole.lines, whole.requests, whole.garbage, whole.unplaced, whole.others],
      [8, 2, 3, 2, 1],
    );
    assert.deepEqual(
      whole.examples.map(({ line, text: shown }) => [line, shown.length <= 61, shown.slice(0, 10)]),
      [
        [2, true, "what??[31m"],
        [3, true, "yyyyyyyyyy"],
        [4, true, ""],
      ],
    );
    for (const piece of [1, 13, 4_096]) assert.deepEqual(replayed(text, MOVES, { piece }), whole);
  });

  it("knows the busiest minute of each unit, also where lines come late", () => {
    const at = (minute: number): string => new Date(Date.UTC(2026, 10, 11, 0, minute)).toISOString();
    const lines: string[] = [];
    for (let minute = 0; minute < 30; minute++) {
      for (let i = 0; i < (minute === 12 ? 120 : 60); i++) lines.push(own({ slot: 5, time: at(minute) }));
      if (minute > 2) lines.push(own({ slot: 5, time: at(minute - 2) }));
    }
    const found = replayed(lines.join("\n"));
    assert.equal(found.units[0]!.peak, 121 / 60);
    assert.deepEqual([found.from, found.to], [Date.parse(at(0)), Date.parse(at(29))]);
  });

  it("of too many users is an estimate, and says so", () => {
    const lines = Array.from({ length: 5_000 }, (_, i) => nginx(`/cart/1?uid=${i}`));
    const { users } = replayed(lines.join("\n"), MOVES, { mostUsers: 1_000 });
    assert.equal(users.isExact, false);
    assert.ok(Math.abs(users.all / 5_000 - 1) < 0.03, `${users.all}`);
    assert.ok(users.moved > 350 && users.moved < 650, `${users.moved}`);
  });
});
