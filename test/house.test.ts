/** The rules of the house that a reader cannot see in one file. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";

const ROOT = join(import.meta.dirname, "..");
const FOLDERS = ["model", "host", "gateway", "cli", "loadtest", "control-plane"];

/** Who may import whom; everybody may import their own folder. */
const MAY: Readonly<Record<string, readonly string[]>> = {
  model: [],
  host: ["model"],
  gateway: ["model", "host"],
  "control-plane": ["model", "host"],
  cli: ["model", "host", "gateway", "control-plane"],
  loadtest: ["model", "host"],
};

/** Node's modules without I/O that the model may use. */
const PURE_NODE = ["node:net", "node:http", "node:crypto"];

const files = FOLDERS.flatMap((folder) => globSync(`${folder}/**/*.{ts,tsx}`, { cwd: ROOT })).sort();
const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");
const importsOf = (file: string): string[] =>
  [...read(file).matchAll(/(?:^|\n)(?:import|export)[^;]*?from "([^"]+)"|import\("([^"]+)"\)/g)].map(
    (m) => (m[1] ?? m[2])!,
  );

test("folders import only what lies below them", () => {
  assert.ok(files.length > 50, "the files were found");
  for (const file of files) {
    const folder = file.split("/")[0]!;
    for (const name of importsOf(file)) {
      if (!name.startsWith(".")) continue;
      const target = relative(ROOT, join(ROOT, dirname(file), name)).split("/")[0]!;
      if (target === folder || target === "package.json") continue;
      assert.ok(MAY[folder]!.includes(target), `${file} imports ${name}`);
    }
  }
});

test("the model does no I/O", () => {
  for (const file of files.filter((f) => f.startsWith("model/"))) {
    for (const name of importsOf(file)) {
      if (name.startsWith("node:")) assert.ok(PURE_NODE.includes(name), `${file} imports ${name}`);
    }
  }
});

test("only entry points and host/ touch the real clock, chance and the environment", () => {
  const entry = /(^host\/|\/main\.tsx?$|^gateway\/thread\.ts$|^loadtest\/|^cli\/)/;
  const ambient = /\bDate\.now\(\)|\bnew Date\(\)|Math\.random\(|process\.env\b|crypto\.random/;
  for (const file of files) {
    if (entry.test(file)) continue;
    const found = ambient.exec(read(file));
    assert.equal(found?.[0], undefined, `${file} uses ${found?.[0]}`);
  }
});

test("a file over 400 lines asks to be two", () => {
  for (const file of files) {
    const lines = read(file).split("\n").length - 1;
    assert.ok(lines <= 400, `${file} has ${lines} lines`);
  }
});
