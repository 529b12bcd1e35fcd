import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { FileWatch, LOOK_EVERY } from "../../host/file-watch.ts";

function setUp(t: TestContext) {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const dir = mkdtempSync(join(tmpdir(), "tidegate-test-"));
  const file = join(dir, "fleet.yaml");
  writeFileSync(file, "one");
  let changes = 0;
  const watch = new FileWatch(() => changes++);
  t.after(() => {
    watch.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  const looks = (count: number): number => {
    const before = changes;
    t.mock.timers.tick(LOOK_EVERY * count);
    return changes - before;
  };
  return { dir, file, watch, looks };
}

test("a change is reported once, when two looks agree", (t) => {
  const { file, watch, looks } = setUp(t);
  watch.follow([file]);
  assert.equal(looks(3), 0);
  writeFileSync(file, "two!");
  assert.equal(looks(1), 0, "it may still be written");
  assert.equal(looks(1), 1);
  assert.equal(looks(5), 0);
});

test("a file that goes on changing is waited for", (t) => {
  const { file, watch, looks } = setUp(t);
  watch.follow([file]);
  for (let i = 0; i < 5; i++) {
    writeFileSync(file, "x".repeat(10 + i));
    assert.equal(looks(1), 0);
  }
  assert.equal(looks(1), 1);
});

test("what a rename, a missing file, a new file and a swapped link bring is seen", (t) => {
  const { dir, file, watch, looks } = setUp(t);
  const link = join(dir, "link.yaml");
  mkdirSync(join(dir, "1"));
  mkdirSync(join(dir, "2"));
  writeFileSync(join(dir, "1", "f"), "same");
  writeFileSync(join(dir, "2", "f"), "same");
  symlinkSync("1", join(dir, "data"));
  symlinkSync("data/f", link);
  const missing = join(dir, "gateway.yaml");
  watch.follow([file, missing, link]);

  writeFileSync(join(dir, "aside"), "one");
  renameSync(join(dir, "aside"), file);
  assert.equal(looks(2), 1, "rename");
  writeFileSync(missing, "");
  assert.equal(looks(2), 1, "new");
  rmSync(missing);
  assert.equal(looks(2), 1, "gone");
  symlinkSync("2", join(dir, "tmp"));
  renameSync(join(dir, "tmp"), join(dir, "data"));
  assert.equal(looks(2), 1, "link");
});

test("an edit that keeps size and modification time is seen", (t) => {
  const { file, watch, looks } = setUp(t);
  utimesSync(file, 1_000, 1_000);
  watch.follow([file]);
  writeFileSync(file, "two");
  utimesSync(file, 1_000, 1_000);
  assert.equal(looks(2), 1);
});

test("following the same files again does not hide a change", (t) => {
  const { file, watch, looks } = setUp(t);
  watch.follow([file]);
  writeFileSync(file, "two");
  watch.follow([file]);
  assert.equal(looks(2), 1);
});

test("a change while the list of files grows is seen as well", (t) => {
  // The gateway reads the files, and then follows those that it read: what is saved between the two must not be lost.
  const { dir, file, watch, looks } = setUp(t);
  watch.follow([file]);
  writeFileSync(file, "saved after it was read");
  watch.follow([file, join(dir, "fallback.html")]);
  assert.equal(looks(2), 1);
});

test("nothing is reported after the stop", (t) => {
  const { file, watch, looks } = setUp(t);
  watch.follow([file]);
  writeFileSync(file, "two");
  watch.stop();
  assert.equal(looks(5), 0);
});
