import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { type DemoState, statusLine, view } from "../../loadtest/demo/view.ts";

const state: DemoState = {
  seconds: 75.4,
  port: 8080,
  adminPort: 9090,
  columns: 100,
  rows: 30,
  color: false,
  asked: undefined,
  unserved: 2,
  units: [
    {
      name: "hz",
      digit: "1",
      center: true,
      endpoints: [
        { letter: "a", port: 9101, condition: "killed", healthy: false },
        { letter: "b", port: 9102, condition: "killed", healthy: false },
      ],
      figures: { healthy: false, rate: 0, share: 0, success: undefined, p99: undefined, total: 900 },
    },
    {
      name: "sh",
      digit: "2",
      center: false,
      endpoints: [
        { letter: "c", port: 9201, condition: "running", healthy: true },
        { letter: "d", port: 9202, condition: "hung", healthy: undefined },
      ],
      figures: { healthy: true, rate: 44.96, share: 0.75, success: 0.99995, p99: 4.24, total: 1500 },
    },
    {
      name: "sz",
      digit: "3",
      center: false,
      endpoints: [
        { letter: "e", port: 9301, condition: "running", healthy: true },
        { letter: "f", port: 9302, condition: "running", healthy: true },
      ],
      figures: { healthy: undefined, rate: 15, share: 0.25, success: 1, p99: 1234, total: 300 },
    },
  ],
  client: { sent: 4500, answered: 4480, refusedWrites: 20, failed: 0, rate: 60, p99: 12.6 },
  failovers: [
    { from: "hz", to: "sh", cause: "refused", total: 30, recent: 1 },
    { from: "hz", to: "sh", cause: "unhealthy", total: 200, recent: 90 },
    { from: "hz", to: "sz", cause: "refused", total: 0, recent: 0 },
  ],
  events: [
    { at: 70, text: "unit hz killed", tone: "bad" },
    { at: 71.2, text: "the gateway finds unit hz unhealthy, 1.2 s later", tone: "bad" },
  ],
};

describe("view", () => {
  test("shows every unit, the client, the failovers, the events and the keys", () => {
    assert.equal(
      view(state),
      ` Tidegate demo  http://127.0.0.1:8080  metrics on :9090/metrics  running 1:15

   UNIT       HEALTH     ENDPOINTS      PROCESSES   REQ/S  SHARE                          OK     P99
 1 hz center  unhealthy  a○ b○ 0/2      killed        0.0     0%                           –       –
 2 sh         healthy    c● d· 1/2      1 hung       45.0    75% ███████████████       99.9%  4.2 ms
 3 sz         unknown    e● f● 2/2      running      15.0    25% █████                  100%   1.2 s

 client   60.0 req/s · p99 13 ms · sent 4500 · writes refused 20 · failed 0
 gateway  failovers hz→sh 230 · answered without a unit 2.0/s

 1:10  unit hz killed
 1:11  the gateway finds unit hz unhealthy, 1.2 s later

 1 2 3 kill   a–f one endpoint   h hang   s slow   n r good, bad canary   q quit`,
    );
  });

  test("with colour it says the same", () => {
    const colored = view({ ...state, color: true });
    assert.notEqual(colored, view(state));
    assert.equal(stripVTControlCharacters(colored), view(state));
  });

  for (const columns of [20, 80, 100, 200]) {
    test(`no line is wider than a terminal of ${columns} columns, or than 80`, () => {
      const widest = Math.max(
        ...view({ ...state, columns })
          .split("\n")
          .map((line) => line.length),
      );
      assert.ok(widest <= Math.max(columns, 80), `${widest} columns`);
    });
  }

  test("a low terminal loses its oldest events first, never the keys", () => {
    const events = Array.from({ length: 50 }, (_, at) => ({
      at,
      text: `event ${at}`,
      tone: "plain" as const,
    }));
    const lines = view({ ...state, events, rows: 14 }).split("\n");
    assert.equal(lines.length, 14);
    assert.match(lines.at(-3)!, /event 49$/);
    assert.match(lines.at(-1)!, /q quit$/);
  });

  test("after h it asks which unit", () => {
    assert.match(view({ ...state, asked: "hang" }), /hang or resume which unit\? 1 2 3/);
  });
});

test("the plain line has the same figures and no control sequence", () => {
  assert.equal(
    statusLine({ ...state, color: true }),
    "75s | hz unhealthy 0/2 0.0/s 0% ok – p99 – | sh healthy 1/2 45.0/s 75% ok 99.9% p99 4.2 ms | " +
      "sz unknown 2/2 15.0/s 25% ok 100% p99 1.2 s | sent 4500, writes refused 20, failed 0, failovers 230",
  );
});
