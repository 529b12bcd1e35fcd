/** Executions that ended are kept, so many of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MOST_ENDED } from "../../../control-plane/runbook/book.ts";
import { EXECUTION } from "../../../control-plane/runbook/execution.ts";
import { Runbook } from "../../support/runbook.ts";

test("the oldest that ended are forgotten, but none of which something lies, and none that lives", async () => {
  const book = new Runbook({
    pin: "steps: [ { pin: ann, unit: sz } ]",
    long: "steps: [ { wait: 1h } ]",
    short: "steps: [ { notify: over } ]",
  });
  await book.boot();
  for (const plan of ["pin", "long", "short"]) await book.start(plan);
  await book.settle();
  const ended = await book.execution("ex-3");
  assert.equal(ended.state, "succeeded");
  const puts = Array.from({ length: MOST_ENDED + 250 }, (_, i) => {
    const id = `ex-${i + 4}`;
    return { kind: EXECUTION, id, body: JSON.stringify({ ...ended, id }) };
  });
  await book.disk.commit({ puts });
  await book.boot();
  for (let i = 0; i < 5; i++) await book.settle();
  const left = await book.disk.documents(EXECUTION, undefined, 10_000);
  const numbers = left.map(({ id }) => Number(id.slice(3))).sort((a, b) => a - b);
  assert.equal(left.length, MOST_ENDED + 1, "one that lives, and those that ended");
  assert.deepEqual(numbers.slice(0, 2), [1, 2], "a pin lies of the first, and the second waits");
  // Of what ended: the first, and the newest.
  assert.equal(numbers[2], 3 + 250 + 2);
  assert.equal(numbers.at(-1), MOST_ENDED + 253);
  const { id } = await book.start("short");
  assert.equal(id, `ex-${MOST_ENDED + 254}`, "no id is given twice");
  assert.deepEqual(book.errors, []);
});
