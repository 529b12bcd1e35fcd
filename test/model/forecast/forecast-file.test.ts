/** forecast.csv and capacities: what they mean, and everything that is wrong with them, with its place. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ProblemList } from "../../../model/configuration/problem-list.ts";
import { readConfig } from "../../../model/configuration/read-config.ts";
import { CapacitiesFile } from "../../../model/forecast/capacities-file.ts";
import { formatTime, mostWithin, parseTime, peakOf, rowAt } from "../../../model/forecast/forecast.ts";
import { ForecastFile } from "../../../model/forecast/forecast-file.ts";
import { formatProblem } from "../../../model/problem.ts";

const ROUTES = new Set(["hall", "cart"]);

function read(
  text: string,
  { known = ROUTES as ReadonlySet<string> | undefined, piece = text.length, rows = 1e6 } = {},
) {
  const problems = new ProblemList();
  const file = new ForecastFile("f.csv", problems, known, rows);
  let taken = 0;
  for (let at = 0; at < text.length; at += piece) {
    taken++;
    if (!file.push(text.slice(at, at + piece))) break;
  }
  return { forecast: file.end(), problems: problems.sorted().map(formatProblem), taken };
}

const HEAD = "time,route,rps\n";
const T0 = "2026-11-11T00:00+08:00";
const T1 = "2026-11-11T00:01+08:00";
const AT = Date.UTC(2026, 10, 10, 16);

describe("a forecast", () => {
  const text = `${HEAD}${T0},hall,20000\n${T0},cart,30000.5\n${T1},cart,28000\n${T1},hall,19000\n`;

  it("is what it says, in whatever pieces it comes", () => {
    const wanted = {
      zone: 480,
      times: [AT, AT + 60_000],
      routes: { hall: [20_000, 19_000], cart: [30_000.5, 28_000] },
    };
    for (const piece of [1, 2, 7, 64, text.length]) {
      assert.deepEqual(read(text, { piece }), {
        forecast: wanted,
        problems: [],
        taken: Math.ceil(text.length / piece),
      });
    }
  });

  it("may come from a spreadsheet: a byte order mark and CRLF mean nothing, nor does a missing last line end", () => {
    const plain = read(text).forecast;
    assert.deepEqual(read(`\ufeff${text.replaceAll("\n", "\r\n")}`).forecast, plain);
    assert.deepEqual(read(text.slice(0, -1)).forecast, plain);
  });

  it("may say the same minute in another zone", () => {
    const { forecast, problems } = read(
      `${HEAD}${T0},hall,1\n2026-11-10T16:00Z,cart,2\n${T1},hall,3\n${T1},cart,4\n`,
    );
    assert.deepEqual(problems, []);
    assert.deepEqual(forecast?.routes, { hall: [1, 3], cart: [2, 4] });
  });

  it("holds from a time to the next, the last for a minute, and knows nothing else", () => {
    const { forecast } = read(`${HEAD}${T0},hall,5\n2026-11-11T01:00+08:00,hall,7\n`);
    const hour = 3_600_000;
    assert.equal(mostWithin(forecast!, AT + 10, AT + hour), 5);
    assert.equal(mostWithin(forecast!, AT, AT + hour + 1), 7);
    assert.equal(mostWithin(forecast!, AT + hour + 60_000, AT + 9 * hour), undefined);
    assert.equal(mostWithin(forecast!, AT - hour, AT), undefined);
    assert.equal(peakOf(forecast!), 1);
    assert.deepEqual(
      [AT - 1, AT, AT + hour - 1, AT + hour, AT + hour + 60_000].map((at) => rowAt(forecast!, at)),
      [-1, 0, 0, 1, -1],
    );
  });

  it("has times that are minutes, with their zone", () => {
    for (const [wrong, why] of [
      ["2026-11-11T00:00", "no zone"],
      ["2026-11-11 00:00+08:00", "no T"],
      ["2026-11-11T00:00:30+08:00", "half a minute"],
      ["2026-02-30T00:00Z", "no day"],
      ["2026-11-11T24:00Z", "no hour"],
      ["2026-11-11T00:00+15:00", "no zone of this earth"],
      ["2026-11-11T00:00+08:60", "no minute"],
      ["1794326400", "a number"],
      ["", "nothing"],
    ] as const) {
      assert.equal(parseTime(wrong), undefined, why);
    }
    assert.deepEqual(parseTime("2026-11-11T00:00:00-03:30"), {
      at: Date.UTC(2026, 10, 11, 3, 30),
      zone: -210,
    });
    assert.equal(formatTime(Date.UTC(2026, 10, 11, 3, 30), -210), "2026-11-11T00:00-03:30");
  });
});

describe("a forecast that is wrong", () => {
  const wrong: readonly (readonly [string, string, ...string[]])[] = [
    ["no text", "", "f.csv:1:1: empty-file: f.csv is empty; expected a first line `time,route,rps`"],
    [
      "no head",
      `${T0},hall,1\n`,
      "f.csv:1:1: wrong-row: the first line is `2026-11-11T00:00+08:00,hall,1`; expected `time,route,rps`",
    ],
    ["no row", HEAD, "f.csv:1:1: wrong-row: there is no row; expected one at least"],
    [
      "a field too few",
      `${HEAD}${T0},hall\n`,
      "f.csv:2:1: wrong-row: the row has 2 fields; expected 3, with commas between them: time,route,rps",
    ],
    [
      "other commas",
      `${HEAD}${T0};hall;1\n`,
      "f.csv:2:1: wrong-row: the row has 1 field; expected 3, with commas between them: time,route,rps",
    ],
    ["an empty line", `${HEAD}${T0},hall,1\n\n`, "f.csv:3:1: wrong-row: the line is empty; expected a row"],
    [
      "no number",
      `${HEAD}${T0},hall,many\n`,
      "f.csv:2:29: invalid-rate: `many` is no number; expected requests per second, such as 1500 or 0.5, up to 1000000000",
    ],
    [
      "another number",
      `${HEAD}${T0},hall,1e3\n`,
      "f.csv:2:29: invalid-rate: `1e3` is no number; expected requests per second, such as 1500 or 0.5, up to 1000000000",
    ],
    [
      "a space",
      `${HEAD}${T0},hall, 1\n`,
      "f.csv:2:29: invalid-rate: ` 1` is no number; expected requests per second, such as 1500 or 0.5, up to 1000000000",
    ],
    [
      "less than nothing",
      `${HEAD}${T0},hall,-5\n`,
      "f.csv:2:29: invalid-rate: `-5` is negative; expected requests per second, such as 1500 or 0.5, up to 1000000000",
    ],
    [
      "more than anything",
      `${HEAD}${T0},hall,2000000000\n`,
      "f.csv:2:29: invalid-rate: `2000000000` is out of range; expected requests per second, such as 1500 or 0.5, up to 1000000000",
    ],
    [
      "a route that is not there",
      `${HEAD}${T0},hal,1\n${T0},hall,1\n${T1},hal,1\n${T1},hall,1\n`,
      "f.csv:2:24: unknown-route: there is no route `hal`; did you mean `hall`?",
    ],
    [
      "no time",
      `${HEAD}2026-11-11T00:00,hall,1\n`,
      "f.csv:2:1: invalid-time: `2026-11-11T00:00` is no time; expected a whole minute with its zone, such as 2026-11-11T00:00+08:00",
    ],
    [
      "a row twice",
      `${HEAD}${T0},hall,1\n${T0},cart,1\n${T0},hall,2\n`,
      "f.csv:4:24: duplicate-row: route `hall` has a row for this time on line 2; expected one",
    ],
    [
      "times in disorder",
      `${HEAD}${T1},hall,1\n${T0},hall,1\n`,
      "f.csv:3:1: unsorted-rows: `2026-11-11T00:00+08:00` is not after 2026-11-11T00:01+08:00 above it; expected rows in the order of time",
    ],
    [
      "a route that is missing later",
      `${HEAD}${T0},hall,1\n${T0},cart,1\n${T1},hall,1\n`,
      "f.csv:4:1: forecast-gap: route `cart` has no row at 2026-11-11T00:01+08:00; expected one for every time, 0 where nothing is asked",
    ],
    [
      "a route that comes later",
      `${HEAD}${T0},hall,1\n${T1},hall,1\n${T1},cart,1\n`,
      "f.csv:4:24: forecast-gap: route `cart` has no row at 2026-11-11T00:00+08:00, where the forecast begins; expected one for every time, 0 where nothing is asked",
    ],
    [
      "more than an hour without a row",
      `${HEAD}${T0},hall,1\n2026-11-11T01:01+08:00,hall,1\n`,
      "f.csv:3:1: forecast-gap: nothing is said from 2026-11-11T00:00+08:00 to `2026-11-11T01:01+08:00`; expected a row every hour at least",
    ],
  ];
  for (const [name, text, ...problems] of wrong) {
    it(`says where: ${name}`, () => {
      const found = read(text);
      assert.deepEqual([...found.problems].sort(), [...problems].sort());
      assert.equal(found.forecast, undefined);
    });
  }

  it("says everything at once, and of a million mistakes a thousand", () => {
    const found = read(`${HEAD}${`${T0},hall,x\n`.repeat(3_000)}`);
    assert.equal(found.problems.length, 1_001);
    assert.match(found.problems.at(-1)!, /too-many-problems/);
  });

  it("is not read on beyond a bound of rows, nor is a line that never ends", () => {
    const row = (i: number): string => `${formatTime(AT + i * 60_000, 480)},hall,1\n`;
    const text = HEAD + Array.from({ length: 50 }, (_, i) => row(i)).join("");
    const found = read(text, { piece: 100, rows: 10 });
    assert.match(found.problems[0]!, /^f.csv:12:1: out-of-range: there are more than 10 rows/);
    assert.ok(found.taken < 6, `${found.taken} pieces`);
    const endless = read("x".repeat(1e6), { piece: 1_000 });
    assert.ok(endless.taken < 4, `${endless.taken} pieces`);
    assert.match(endless.problems[0]!, /more than 1024 characters/);
  });

  it("is no way to write on somebody's terminal", () => {
    const { problems } = read(`${HEAD}\u001b[2Jx,hall,1\n`);
    assert.match(problems[0]!, /`\?\[2Jx` is no time/);
  });
});

describe("forecast.csv of a configuration", () => {
  const files: Record<string, string> = {
    "fleet.yaml": `fleet: test
regions: { r: {} }
units: { hz: { region: r, center: true } }
placement: { key: [ { header: u } ], slots: 16, map: { hz: 0-15 } }
services: { hall: { pools: { hz: { stable: [ "http://127.0.0.1:1" ] } } } }
`,
    "routes.yaml": "routes:\n  - { name: hall, match: { path: /a/* }, service: hall, scope: center }\n",
  };

  it("is part of it, and its mistakes are the configuration's", () => {
    const whole: Record<string, string> = { ...files, "forecast.csv": `${HEAD}${T0},hall,5\n` };
    assert.deepEqual(readConfig((name) => whole[name]).config?.forecast?.routes, {
      hall: [5],
    });
    assert.equal(readConfig((name) => files[name]).config?.forecast, undefined);
    const wrong: Record<string, string> = { ...files, "forecast.csv": `${HEAD}${T0},lobby,5\n` };
    const { config, problems } = readConfig((name) => wrong[name]);
    assert.equal(config, undefined);
    assert.deepEqual(problems.map(formatProblem), [
      "forecast.csv:2:24: unknown-route: there is no route `lobby`; expected one of routes.yaml",
    ]);
  });
});

describe("measured capacities", () => {
  const units = new Set(["hz", "sh"]);
  const take = (text: string) => {
    const problems = new ProblemList();
    const file = new CapacitiesFile("c.csv", problems, units);
    file.push(text);
    return { found: file.end(), problems: problems.sorted().map(formatProblem) };
  };

  it("are the newest of each unit", () => {
    const { found } = take("unit,rps,date\nhz,100,2026-10-30\nhz,90,2026-11-01\nhz,120,2026-10-01\n");
    assert.deepEqual([...found!], [["hz", { rps: 90, date: "2026-11-01" }]]);
  });

  it("say what is wrong with them, and where", () => {
    const { found, problems } = take("unit,rps,date\nhx,0,2026-02-30\nsh,5,2026-10-01\nsh,6,2026-10-01\n");
    assert.equal(found, undefined);
    assert.deepEqual(problems, [
      "c.csv:2:1: unknown-unit: there is no unit `hx`; did you mean `hz`?",
      "c.csv:2:4: invalid-rate: `0` is out of range; expected requests per second, such as 1500 or 0.5, up to 1000000000",
      "c.csv:2:6: invalid-time: `2026-02-30` is no day; expected one such as 2026-10-30",
      "c.csv:4:1: duplicate-row: `sh` was measured that day on line 3, too; expected one row",
    ]);
  });
});
