/** What types do not hold of the dictionaries, of quantities and of addresses. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { en } from "../../../control-plane/console/text/en.ts";
import { zh } from "../../../control-plane/console/text/zh.ts";
import {
  durationText,
  latencyText,
  percentText,
  rateText,
} from "../../../control-plane/console/ui/format.ts";

const SOURCES = join(import.meta.dirname, "../../../control-plane/console");

/** Names and punctuation. */
const SAME = [".brand", ".session.as", ".fleet.p50", ".fleet.p99", ".execution.title", ".execution.now"];

type Words = { readonly [name: string]: string | Words | ((...given: never[]) => string) };

function* wordsOf(words: Words, path = ""): Generator<[string, string, string[]]> {
  for (const [name, word] of Object.entries(words)) {
    const own = `${path}.${name}`;
    if (typeof word === "object") yield* wordsOf(word, own);
    else if (typeof word === "string") yield [own, word, []];
    else {
      const given = Array.from({ length: word.length }, (_, i) => `<${i}>`);
      yield [own, word(...(given as never[])), given];
    }
  }
}

test("both dictionaries use what they are given, and no word of one is left in the other", () => {
  const [english, chinese] = [[...wordsOf(en)], [...wordsOf(zh)]];
  assert.deepEqual(
    chinese.map(([name]) => name),
    english.map(([name]) => name),
  );
  for (const [i, [name, word, given]] of chinese.entries()) {
    assert.notEqual(word.trim(), "", name);
    if (!SAME.includes(name)) assert.match(word, /[\u4e00-\u9fff]/, `${name}: ${word}`);
    for (const one of given) {
      assert.equal(word.includes(one), english[i]![1].includes(one), `${name}: ${one} of ${word}`);
    }
  }
});

test("no source of the console makes markup of text, runs text, or asks anybody but its own control plane", () => {
  const files = globSync("**/*.{ts,tsx,html,css}", {
    cwd: SOURCES,
    exclude: (name) => name.startsWith("dist"),
  });
  assert.ok(files.length > 40, `${files.length} files`);
  const forbidden =
    /innerHTML|outerHTML|insertAdjacent|document\.write|dangerouslySet|\beval\(|new Function|srcdoc|https?:\/\/(?!www\.w3\.org\/2000\/svg)/;
  for (const file of files) {
    const text = readFileSync(join(SOURCES, file), "utf8");
    assert.equal(forbidden.exec(text)?.[0], undefined, file);
    assert.ok(text.split("\n").length <= 401, `${file} asks to be two`);
  }
});

test("quantities are short, and what is not quite all is never told as all", () => {
  assert.deepEqual([1, 0.999999, 0.99, 0.123, 0.0123, 0, null].map(percentText), [
    ...["100 %", "99.99 %", "99 %", "12 %", "1.2 %", "0 %", "–"],
  ]);
  assert.deepEqual([0, 1.25, 12.4, 9_999, 12_345, 123_456, undefined].map(rateText), [
    ...["0", "1.3", "12", "9999", "12.3k", "123k", "–"],
  ]);
  assert.deepEqual([1.24, 12.4, 1_240, 31_000, null].map(latencyText), [
    ...["1.2 ms", "12 ms", "1.2 s", "31 s", "–"],
  ]);
  assert.deepEqual([0, 460, 1_000, 61_000, 120_000, 3_700_000, 200_000_000].map(durationText), [
    ...["0 s", "460 ms", "1 s", "1 min 1 s", "2 min", "1 h 1 min", "2 d"],
  ]);
});
