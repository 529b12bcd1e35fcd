/** What comes in between: aborted in a batch, refused at the switch, answers that are lost, a leader that knows nobody. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Roster } from "../../../control-plane/publish/roster.ts";
import * as command from "../../../control-plane/runbook/commands.ts";
import { EXECUTION, type Execution } from "../../../control-plane/runbook/execution.ts";
import { ANN, Runbook } from "../../support/runbook.ts";

const MOVE = 'steps: [ { move: 0-9, to: "sz" }, { notify: over } ]';
const more = { reason: "mine", expiresIn: undefined, supersedes: undefined };

/** A move whose fence nobody acknowledges yet. */
async function fenced(plan = MOVE): Promise<{ book: Runbook; id: string }> {
  const book = new Runbook({ move: plan });
  await book.boot();
  book.gatewayNames.set("gw-2", false);
  const { id } = await book.start("move");
  await book.settle();
  assert.equal(book.standing.config.fleet.placement.fences?.length, 1);
  return { book, id };
}

function phase({ runs }: Execution): string | undefined {
  return runs["1"]?.transfers?.[0]?.phase;
}

test("aborted in the middle of a batch, it lets the batch come to its end, and can be taken back", async () => {
  const { book, id } = await fenced();
  await book.command(id, (execution) => command.abort(execution, book.wall));
  await book.settle();
  assert.equal(phase(await book.execution(id)), "fenced", "writes are held until the gateways hold them");
  await assert.rejects(book.start("move"), /ex-1 .* is aborted and writes slot 0, too/);
  book.gatewayNames.set("gw-2", true);
  await book.settle();
  await book.pass(1_000);
  const aborted = await book.execution(id);
  assert.deepEqual([aborted.state, phase(aborted)], ["aborted", "switched"]);
  assert.equal(book.standing.config.fleet.placement.map[9], "sz");
  assert.equal(book.standing.config.fleet.placement.fences, undefined);
  await book.command(id, (execution) => command.revert(execution, "ann"));
  await book.settle();
  assert.equal((await book.execution(id)).state, "reverted");
  assert.equal(book.standing.overlays.length, 0);
});

test("a switch that is refused does not leave writes held: the fence is lifted, and the reason said", async () => {
  const { book, id } = await fenced();
  const change = { kind: "move" as const, slots: [{ first: 5, last: 5 }], keys: [], unit: "sh" };
  const { overlay } = await book.desk.addOverlay({ change, ...more }, undefined, ANN);
  book.gatewayNames.set("gw-2", true);
  await book.settle();
  const held = await book.execution(id);
  assert.equal(held.state, "held");
  assert.match(held.says ?? "", new RegExp(`overlay ${overlay.id} .* already writes placement.map.5`));
  assert.equal(book.standing.config.fleet.placement.fences, undefined);
  // Tried again, it is refused before anything is held.
  const { number } = book.standing.revision;
  await book.command(id, (execution) => command.resume(execution, []));
  await book.settle();
  assert.equal((await book.execution(id)).state, "held");
  assert.equal(book.standing.revision.number, number);
  await book.command(id, (execution) => command.revert(execution, "ann"));
  await book.settle();
  assert.equal((await book.execution(id)).state, "reverted");
});

test("a fence that somebody takes away ends its batch, and nothing is switched without it", async () => {
  const { book, id } = await fenced();
  const fence = book.standing.overlays[0]!;
  await book.desk.removeOverlay(fence.id, undefined, "by hand", ANN);
  book.gatewayNames.set("gw-2", true);
  await book.settle();
  const held = await book.execution(id);
  assert.deepEqual([held.state, phase(held)], ["held", "idle"]);
  assert.match(held.says ?? "", /its fence was taken away/);
  assert.equal(book.standing.config.fleet.placement.map[0], "hz");
});

test("a revert that is refused says so and waits, and goes on as a revert", async () => {
  const book = new Runbook({
    pin: "steps: [ { pin: ann, unit: sz } ]\nexpires: { after: 1m, then: revert }",
  });
  await book.boot();
  const { id } = await book.start("pin");
  await book.settle();
  book.passes = () => "not now";
  await book.pass(61_000);
  const held = await book.execution(id);
  assert.deepEqual([held.state, held.says], ["held", "revert failed: not now"]);
  book.passes = () => undefined;
  await book.command(id, (execution) => command.resume(execution, []));
  await book.settle();
  assert.equal((await book.execution(id)).state, "reverted");
});

test("a leader that has just begun waits for gateways that only the one before it knew", async () => {
  const book = new Runbook({ move: MOVE });
  await book.boot();
  await new Roster(book.disk, () => book.wall).enter("gw-9");
  const { id } = await book.start("move");
  await book.boot();
  await book.settle();
  assert.equal(phase(await book.execution(id)), "fenced");
  await book.pass(4_900);
  assert.equal(
    phase(await book.execution(id)),
    "fenced",
    "it has not led for long, and gw-9 may be on its way",
  );
  await book.pass(200);
  const held = await book.execution(id);
  assert.equal(held.state, "held");
  assert.match(held.says ?? "", /gw-9 cannot be reached.*--without gw-9/);
  book.gatewayNames.set("gw-9", true);
  await book.command(id, (execution) => command.resume(execution, []));
  await book.settle();
  assert.equal((await book.execution(id)).state, "succeeded");
});

test("one whose beginning was written and not answered is driven, and one that was not written is not there", async () => {
  const book = new Runbook({ move: MOVE });
  await book.boot();
  await book.boot({ commit: 1, when: "unheard" });
  await assert.rejects(book.start("move"), /the answer was lost/);
  await book.settle();
  assert.equal((await book.execution("ex-1")).state, "succeeded");
  await book.boot({ commit: 1, when: "before" });
  await assert.rejects(book.start("move"), /killed/);
  await book.boot();
  await book.settle();
  assert.equal((await book.engine.live()).length, 0);
  assert.deepEqual(book.errors, []);
});

test("of two that begin at once and write the same, one is refused", async () => {
  const book = new Runbook({
    one: "steps: [ { wait: 1m }, { pin: ann, unit: sz } ]",
    two: "steps: [ { pin: ann, unit: sh } ]",
  });
  await book.boot();
  const results = await Promise.allSettled([book.start("one"), book.start("two")]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ["fulfilled", "rejected"],
  );
});

test("what is superseded ends in the commit in which the other begins: no kill leaves overlays that are nobody's", async () => {
  for (const when of ["before", "after"] as const) {
    const book = new Runbook({
      one: "steps: [ { pin: ann, unit: sz }, { wait: 1m } ]",
      two: "steps: [ { pin: ann, unit: sh } ]",
    });
    await book.boot();
    const { id } = await book.start("one");
    await book.settle();
    await book.boot({ commit: 1, when });
    await assert.rejects(book.start("two", {}, id), /killed/);
    await book.boot();
    await book.settle();
    const all = (await book.disk.documents(EXECUTION, undefined, 10)).map(
      ({ body }) => JSON.parse(body) as Execution,
    );
    const [overlay] = book.standing.overlays;
    const owners = all.filter(({ overlays }) => overlays.includes(overlay!.id));
    assert.equal(book.standing.overlays.length, 1);
    assert.equal(owners.length, 1, `killed ${when}`);
    assert.deepEqual(
      all.map(({ state }) => state),
      when === "before" ? ["running"] : ["aborted", "succeeded"],
    );
  }
});

test("a wall clock that is set by hours ends no gate, no approval and no expiry, and holds none of them up", async () => {
  const book = new Runbook({
    gate: "steps: [ { gate: 'gateways >= 1', holds: 30s, timeout: 2m } ]",
    late: "steps: [ { gate: 'rps > 1', timeout: 1m } ]",
    ask: "steps: [ { approve: approver, count: 1, timeout: 1m } ]",
    short: "steps: [ { pin: ann, unit: sz } ]\nexpires: { after: 1m, then: revert }",
  });
  await book.boot();
  const plans = ["gate", "late", "ask", "short"];
  const ids: string[] = [];
  for (const plan of plans) ids.push((await book.start(plan)).id);
  await book.settle();
  const states = () => Promise.all(ids.map(async (id) => (await book.execution(id)).state));
  for (const hours of [5, -9, 7]) {
    book.wall += hours * 3_600_000;
    await book.pass(9_000);
    assert.deepEqual(await states(), ["running", "running", "running", "succeeded"], `${hours} h`);
  }
  await book.pass(4_000);
  assert.deepEqual(await states(), ["succeeded", "running", "running", "succeeded"]);
  book.wall -= 20 * 3_600_000;
  await book.pass(30_000);
  assert.deepEqual(await states(), ["succeeded", "held", "held", "reverted"]);
  assert.deepEqual(book.errors, []);
});
