import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { type Random, seededRandom } from "../../../model/clock.ts";
import { readConfig } from "../../../model/configuration/read-config.ts";
import type { Problem } from "../../../model/problem.ts";
import { compileTable } from "../../../model/table.ts";
import { FLEET, type Files, ROUTES } from "./fixture.ts";

const DEMO = join(import.meta.dirname, "../../../configs/demo");
const demo = (name: string): string => readFileSync(join(DEMO, name), "utf8");
const SEEDS: readonly Files[] = [
  {
    "fleet.yaml": demo("fleet.yaml"),
    "routes.yaml": demo("routes.yaml"),
    "gateway.yaml": demo("gateway.yaml"),
    "fallbacks/hall.html": "hi",
  },
  { "fleet.yaml": FLEET, "routes.yaml": ROUTES },
];

/** What breaks parsers, and what is nearly right here. */
const SPLICES = [
  "",
  "\t",
  "\n",
  "\u0000",
  "\ufeff",
  "\ud800",
  "\u2028",
  "é",
  ": ",
  "- ",
  "? ",
  "# ",
  "---\n",
  "...\n",
  "%YAML 1.2\n",
  "{",
  "}",
  "[",
  "]",
  ",",
  "'",
  '"',
  "|\n",
  ">\n",
  "&a ",
  "*a",
  "&a [*a]",
  "<<: *a",
  "!!binary ",
  "!x ",
  "~",
  "null",
  "true",
  ".nan",
  ".inf",
  "-1",
  "0",
  "1e400",
  "99999999999999999999",
  "0x7fffffff",
  "__proto__: 1\n",
  "constructor",
  "toString",
  "hz",
  "0-1023",
  "none",
  "5x",
  "0s",
  "101%",
  "{}",
  "[]",
  "../",
  "/*",
  "/:id",
  "path",
  "header",
  "sharded",
  "http://[",
  "http://x:99999",
] as const;

const pick = <T>(list: readonly T[], random: Random): T => list[Math.floor(random.next() * list.length)]!;

function mutated(text: string, random: Random): string {
  let result = text;
  for (let n = 1 + Math.floor(random.next() * 4); n > 0; n--) {
    const at = Math.floor(random.next() * (result.length + 1));
    const end = Math.min(result.length, at + Math.floor(random.next() ** 3 * 40));
    const kind = random.next();
    if (kind < 0.5) result = result.slice(0, at) + pick(SPLICES, random) + result.slice(end);
    else if (kind < 0.7) result = result.slice(0, at) + result.slice(end);
    else if (kind < 0.85) result = result.slice(0, at) + result.slice(at, end).repeat(2) + result.slice(end);
    else {
      // A whole line moves, which keeps more of the sense than letters do.
      const lines = result.split("\n");
      const [line = ""] = lines.splice(Math.floor(random.next() * lines.length), 1);
      lines.splice(Math.floor(random.next() * lines.length), 0, line);
      result = lines.join("\n");
    }
  }
  return result;
}

function check(files: Files): boolean {
  const { config, problems } = readConfig((name) => (Object.hasOwn(files, name) ? files[name] : undefined));
  assert.equal(
    config === undefined,
    problems.some((p) => p.severity === "error"),
    "a configuration or an error",
  );
  const order = (p: Problem) => `${p.file} ${String(p.line).padStart(9)} ${String(p.column).padStart(9)}`;
  const sorted = problems.toSorted((a, b) => (order(a) < order(b) ? -1 : order(a) > order(b) ? 1 : 0));
  assert.deepEqual(problems, sorted, "sorted");
  for (const p of problems) {
    assert.match(p.code, /^[a-z]+(-[a-z]+)*$/);
    assert.ok(Number.isSafeInteger(p.line) && p.line >= 1 && Number.isSafeInteger(p.column) && p.column >= 1);
    assert.doesNotMatch(p.message, /\n|undefined|\[object|NaN/, "one sentence for people");
  }
  if (config === undefined) return false;
  assert.deepEqual(JSON.parse(JSON.stringify(config)), JSON.parse(JSON.stringify(structuredClone(config))));
  compileTable(config); // Throws never on what readConfig returned.
  return true;
}

it("never throws, whatever the files say", { timeout: 30_000 }, (t) => {
  const seed = Number(process.env.TIDEGATE_SEED ?? Date.now() % 1_000_000_007);
  t.diagnostic(`TIDEGATE_SEED=${seed}`);
  const random = seededRandom(seed);
  const end = performance.now() + 1200;
  let rounds = 0;
  let accepted = 0;
  for (; rounds < 2000 && performance.now() < end; rounds++) {
    const files = { ...pick(SEEDS, random) };
    const name = pick(Object.keys(files), random);
    files[name] = mutated(files[name]!, random);
    try {
      if (check(files)) accepted++;
    } catch (error) {
      throw new Error(`TIDEGATE_SEED=${seed}, round ${rounds}, ${name}:\n${files[name]}`, { cause: error });
    }
  }
  t.diagnostic(`${rounds} rounds, ${accepted} accepted`);
  assert.ok(accepted > 0 && accepted < rounds, "some mutations must be harmless and some not");
});

/** Each of these has cost some parser its stack, its memory or an afternoon. */
const BOMBS: Readonly<Record<string, string>> = {
  "nested lists": "[".repeat(3000),
  "nested maps": "{a: ".repeat(3000),
  "nested blocks": Array.from({ length: 2000 }, (_, i) => `${" ".repeat(i)}a:\n`).join(""),
  "a billion laughs": `a0: &a0 [x]\n${Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i}, `.repeat(10)}]\n`).join("")}`,
  "many keys": `{${Array.from({ length: 5000 }, (_, i) => `k${i}: 1`).join(", ")}}`,
  "whole ranges again and again": FLEET.replace("0-511", `[${"0-1023, ".repeat(5000)}]`),
  binary: Array.from({ length: 50_000 }, (_, i) => String.fromCharCode((i * 7919) & 0xff)).join(""),
  "surrogate halves": "fleet: \ud800\udc00\udc00\n",
};

for (const [name, text] of Object.entries(BOMBS)) {
  it(`survives ${name}`, { timeout: 10_000 }, () => {
    assert.equal(check({ "fleet.yaml": text, "routes.yaml": ROUTES }), false);
    assert.equal(check({ "fleet.yaml": FLEET, "routes.yaml": text }), false);
  });
}

it("reads 100 units and 1000 routes in well under a second", () => {
  const units = Array.from({ length: 100 }, (_, i) => i);
  const fleet = `fleet: big
regions: { r: {} }
units: { ${units.map((i) => `u${i}: { region: r${i === 0 ? ", center: true" : ""} }`).join(", ")} }
placement: { key: [ { header: x } ], slots: 100, map: { ${units.map((i) => `u${i}: ${i}`).join(", ")} } }
services: { s: { pools: { ${units.map((i) => `u${i}: { stable: ["http://h${i}"] }`).join(", ")} } } }
`;
  const routes = `routes:\n${Array.from({ length: 1000 }, (_, i) => `  - { name: r${i}, match: { path: /p${i}/* }, service: s, scope: sharded }\n`).join("")}`;
  const start = performance.now();
  const files: Files = { "fleet.yaml": fleet, "routes.yaml": routes };
  assert.deepEqual(readConfig((name) => files[name]).problems, []);
  assert.ok(performance.now() - start < 3000);
});
