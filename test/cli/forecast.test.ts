/** `tidegate forecast check` as people run it: tables, exit codes, the picture, the page and the plan that it writes. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";

const CLI = new URL("../../cli/tidegate.mjs", import.meta.url).pathname;
const DOUBLE11 = new URL("../../configs/double11", import.meta.url).pathname;

function tidegate(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], {
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
    timeout: 60_000,
  });
  return { status, stdout, stderr };
}

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "tidegate-forecast-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

test("the shipped night does not hold, and says when, where and what the loss of each unit would cost", () => {
  const { status, stdout } = tidegate("forecast", "check", "--config", DOUBLE11, "--json");
  assert.equal(status, 1);
  const { holds, peak, units, stretches, losses } = JSON.parse(stdout);
  assert.equal(holds, false);
  assert.deepEqual(peak, { at: "2026-11-11T00:00+08:00", rps: 50_000 });
  assert.deepEqual(
    units.map((unit: { unit: string; headroom: number }) => [
      unit.unit,
      Math.round(unit.headroom * 1_000) / 1_000,
    ]),
    [
      ["hz", -0.001],
      ["sh", -0.001],
      ["sz", 0.004],
    ],
  );
  assert.deepEqual(
    [stretches.length, stretches[0].from, stretches[0].units],
    [1, "2026-11-11T00:00+08:00", ["hz", "sh"]],
  );
  const [hz] = losses;
  assert.deepEqual(
    [hz.unit, hz.at, Object.keys(hz.shed), hz.short],
    ["hz", "2026-11-11T00:00+08:00", ["normal"], 20_000],
  );
  const text = tidegate("forecast", "check", "--config", DOUBLE11);
  assert.equal(text.status, 1);
  assert.match(text.stdout, /it does not hold: for 1 minute it does not fit/);
  assert.match(text.stdout, /With one unit less[\s\S]*hz +│ 2026-11-11T00:00\+08:00 │ 13994\/s normal/);
});

test("with what was measured it may hold; with one unit lost, too, is a question of its own", (t) => {
  const dir = folder(t);
  const capacities = join(dir, "capacities.csv");
  writeFileSync(capacities, "unit,rps,date\nhz,30000,2026-10-30\nsh,30000,2026-10-30\nsz,15000,2026-10-30\n");
  const check = ["forecast", "check", "--config", DOUBLE11, "--capacities", capacities];
  const holds = tidegate(...check);
  assert.equal(holds.status, 0, holds.stdout);
  assert.match(holds.stdout, /27000\/s, of 2026-10-30/, "a tenth is left free");
  assert.match(holds.stdout, /it holds\n/);
  const losing = tidegate(...check, "--losing", "one");
  assert.equal(losing.status, 1);
  assert.match(losing.stdout, /something is shed without hz, sh/);
  assert.equal(tidegate(...check, "--losing", "one", "--margin", "0%", "--writes", "0%").status, 1);
  writeFileSync(capacities, "unit,rps,date\nhz,60000,2026-10-30\nsh,60000,2026-10-30\nsz,60000,2026-10-30\n");
  const plenty = tidegate(...check, "--losing", "one");
  assert.equal(plenty.status, 0, plenty.stdout);
  assert.match(plenty.stdout, /it holds, with any one unit lost, too/);
});

test("the picture and the page need nothing from elsewhere, and say in words what they show", (t) => {
  const dir = folder(t);
  const [svg, html] = [join(dir, "day.svg"), join(dir, "day.html")];
  const { status, stderr } = tidegate(
    "forecast",
    "check",
    "--config",
    DOUBLE11,
    "--svg",
    svg,
    "--html",
    html,
  );
  assert.deepEqual([status, stderr], [1, ""]);
  const picture = readFileSync(svg, "utf8");
  assert.match(picture, /^<svg [^>]*role="img" aria-labelledby="fc-title fc-desc"/);
  assert.match(
    picture,
    /<desc id="fc-desc">The most is 50000 requests per second of 50000 that the fleet bears/,
  );
  assert.match(picture, /prefers-color-scheme:dark/);
  const page = readFileSync(html, "utf8");
  for (const text of [picture, page]) {
    const addresses = [...text.matchAll(/(?:https?:)?\/\/[a-z][^"'\s<)]*/g)].map(([found]) => found);
    assert.deepEqual([...new Set(addresses)], ["http://www.w3.org/2000/svg"]);
    assert.doesNotMatch(text, /<script|NaN|undefined|Infinity/);
  }
  // Every element that is opened is closed.
  const open: string[] = [];
  for (const [, close, name, self] of picture.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)) {
    if (close === "/") assert.equal(open.pop(), name);
    else if (self !== "/") open.push(name!);
  }
  assert.deepEqual(open, []);
  assert.match(page, /<th scope="col">headroom<\/th>/);
});

test("the plan that it proposes is one that validates", (t) => {
  const dir = join(folder(t), "config");
  cpSync(DOUBLE11, dir, { recursive: true });
  const plan = join(dir, "plans", "proposed.yaml");
  assert.equal(tidegate("forecast", "check", "--config", dir, "--plan", plan).status, 1);
  assert.match(readFileSync(plan, "utf8"), /limit: writes-fleet, rate: 19000\/s, burst: 22800/);
  const validated = tidegate("validate", dir);
  assert.equal(validated.status, 0, validated.stderr);
});

test("what is wrong is said with its place, and a wrong command line is another answer than no", (t) => {
  const dir = folder(t);
  const file = join(dir, "f.csv");
  writeFileSync(file, "time,route,rps\n2026-11-11T00:00+08:00,halls,5\n2026-11-11T00:00+08:00,cart,-5\n");
  const wrong = tidegate("forecast", "check", "--config", DOUBLE11, file);
  assert.equal(wrong.status, 1);
  assert.match(wrong.stderr, /f\.csv:2:24: unknown-route: there is no route `halls`; did you mean `hall`\?/);
  assert.match(wrong.stderr, /f\.csv:3:29: invalid-rate: `-5` is negative/);
  writeFileSync(file, Buffer.from([0x74, 0xff, 0xfe, 0x0a]));
  assert.match(tidegate("forecast", "check", "--config", DOUBLE11, file).stderr, /is not UTF-8/);
  for (const [args, why] of [
    [[join(dir, "none.csv")], /none\.csv cannot be read \(ENOENT\)/],
    [[dir], /cannot be read \(EISDIR\)/],
  ] as const) {
    const { status, stderr } = tidegate("forecast", "check", "--config", DOUBLE11, ...args);
    assert.equal(status, 1);
    assert.match(stderr, why);
  }
  for (const [args, why] of [
    [["--spare", "much"], /--spare is much; expected a percentage such as 20%/],
    [["--losing", "two"], /--losing is two; expected one or none/],
    [
      ["--entry", "mars=100%"],
      /names no region with its share; expected REGION=40% with one of hangzhou, shanghai, shenzhen/,
    ],
    [["--entry", "hangzhou=60%"], /add up to 60 %; expected 100 %/],
  ] as const) {
    const { status, stderr } = tidegate("forecast", "check", "--config", DOUBLE11, ...args);
    assert.equal(status, 2, stderr);
    assert.match(stderr, why);
  }
});
