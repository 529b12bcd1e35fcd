/** How many commands are remembered, and for how long. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { COMMAND_LASTS, commandId, Commands } from "../../control-plane/commands.ts";
import { SqliteStore } from "../../control-plane/store/sqlite-store.ts";

const ANSWER = { status: 200, headers: {}, body: {} };

test("the oldest are forgotten, never the newest first, also when the clock goes back", async () => {
  let now = 1_800_000_000_000;
  const store = new SqliteStore(":memory:", () => now);
  const commands = new Commands(store, () => now);
  const ids = Array.from({ length: 1_200 }, (_, i) => commandId("ann", `${i}`));
  for (const [i, id] of ids.entries()) {
    if (i === 600) now -= 3_600_000;
    await store.commit({ puts: [commands.record(id, "d", ANSWER)] });
  }
  assert.deepEqual(await commands.superfluous(), []);
  const old = (await commands.superfluous(1_000)).map(({ id }) => id);
  assert.deepEqual(new Set(old), new Set(ids.slice(0, 200)));
  const restarted = new Commands(store, () => now);
  await restarted.superfluous();
  const last = commandId("ann", "last");
  await store.commit({ puts: [restarted.record(last, "d", ANSWER)] });
  const all = (await restarted.superfluous(1)).map(({ id }) => id);
  assert.ok(!all.includes(last), "the newest stays");
  now += COMMAND_LASTS + 2 * 3_600_000;
  assert.equal((await restarted.superfluous()).length, 1_201, "all are too old");
  await store.close();
});

test("two people may take the same key, and no pair of name and key is another's", () => {
  const ids = new Set([commandId("a", "b"), commandId("ab", ""), commandId("", "ab"), commandId("b", "a")]);
  assert.equal(ids.size, 4);
});
