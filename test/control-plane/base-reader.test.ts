/** Bases read on another thread: the same as on this one, within bounds, and whatever becomes of the thread. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Base, readBase } from "../../control-plane/base.ts";
import { BaseReader, type BaseReaderOptions } from "../../control-plane/base-reader.ts";
import { Refused } from "../../control-plane/refused.ts";
import { fleetYaml, ROUTES } from "../support/gateway.ts";

const CONFIGS = join(import.meta.dirname, "../../configs");

function reader(t: TestContext, options: BaseReaderOptions = {}): BaseReader {
  const made = new BaseReader({ small: 0, ...options });
  t.after(() => made.stop());
  return made;
}

/** @param mark makes it unlike the others */
function base(mark: string, routes = 1): Base {
  const list = Array.from({ length: routes }, (_, i) =>
    ROUTES.replace("routes:\n", "")
      .replace(/name: \w+/, `name: r${i}`)
      .replace(/path: \S+/, `path: /r${i}/*`),
  );
  return new Map([
    ["fleet.yaml", `# ${mark}\n${fleetYaml({ hz: ["http://127.0.0.1:1"] })}`],
    ["routes.yaml", `routes:\n${list.join("")}`],
  ]);
}

const refusedAs = (kind: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Refused, String(error));
  assert.equal(error.kind, kind);
  assert.match(error.message, message);
  return true;
};

for (const name of ["demo", "double11"]) {
  test(`${name} is the same when it was read on another thread`, async (t) => {
    const dir = join(CONFIGS, name);
    const files = globSync("**/*.{yaml,html,json}", { cwd: dir });
    const text = () => new Map(files.map((file) => [file, readFileSync(join(dir, file), "utf8")]));
    const here = readBase(text());
    assert.ok(here.config !== undefined);
    // Prototypes, symbols and what is undefined count.
    assert.deepStrictEqual(await reader(t).read(text(), "look"), here);
  });
}

test("what is invalid says the same, and is no refusal yet", async (t) => {
  const odd = (): Base => new Map([...base("odd"), ["routes.yaml", "routes: [ 1, { name: a } ]\n"]]);
  const read = await reader(t).read(odd(), "change");
  assert.equal(read.config, undefined);
  assert.deepStrictEqual(read, readBase(odd()));
});

test("the same files are read once, and found by whoever reads them on this thread", async (t) => {
  const one = reader(t);
  const [a, b] = [base("same"), base("same")];
  const [first, second] = await Promise.all([one.read(a, "look"), one.read(b, "change")]);
  assert.equal(first, second);
  assert.equal(readBase(a), first);
  assert.equal(await one.read(base("same"), "stored"), first);
});

test("what is small is read here, and waits for no thread", async (t) => {
  const one = reader(t, { small: 32 * 1024, deadline: 0 });
  const small = base("small");
  assert.equal(await one.read(small, "change"), readBase(small));
  await assert.rejects(one.read(base("large", 1_000), "change"), Refused);
});

test("what takes too long is refused, and the next is read", async (t) => {
  const one = reader(t, { deadline: 150 });
  await assert.rejects(
    one.read(base("slow", 2_000), "change"),
    refusedAs("invalid-configuration", /was not read after 0\.15 s; expected fewer routes/),
  );
  // A new thread begins slowly: what is stored has ten times as long.
  assert.ok((await one.read(base("next"), "stored")).config !== undefined);
});

test("what takes too much memory is refused, and the next is read", async (t) => {
  const one = reader(t, { memory: 24 });
  await assert.rejects(
    one.read(base("large", 4_000), "change"),
    refusedAs("invalid-configuration", /takes more than 24 MiB to read; expected fewer values/),
  );
  assert.ok((await one.read(base("next"), "change")).config !== undefined);
});

test("so many wait, looks behind changes; the rest are refused, and what waits is read", async (t) => {
  const one = reader(t);
  const order: string[] = [];
  const ask = (name: string, purpose: "look" | "change") =>
    one.read(base(name), purpose).then(() => order.push(name));
  const current = ask("first", "look");
  const looks = Array.from({ length: 8 }, (_, i) => ask(`look ${i}`, "look"));
  await assert.rejects(ask("look too many", "look"), refusedAs("too-many", /too many configurations wait/));
  // Who asks for what waits already takes no place.
  const same = ask("look 0", "look");
  const changes = Array.from({ length: 16 }, (_, i) => ask(`change ${i}`, "change"));
  await assert.rejects(ask("too many", "change"), refusedAs("too-many", /try again in a minute/));
  await Promise.all([current, same, ...looks, ...changes]);
  assert.deepEqual(order.slice(0, 3), ["first", "change 0", "change 1"]);
  assert.equal(order.length, 26);
});

test("who waits too long for the others is refused", async (t) => {
  const one = reader(t, { deadline: 300 });
  const slow = one.read(base("slow", 2_000), "stored");
  await assert.rejects(
    one.read(base("waits"), "change"),
    refusedAs("too-many", /other configurations took too long/),
  );
  // However long that took.
  await Promise.allSettled([slow]);
});

test("what is under way when it stops is refused, and so is what waits", async (t) => {
  const one = reader(t);
  const asked = [one.read(base("a"), "change"), one.read(base("b"), "look")];
  const refused = asked.map((read) =>
    assert.rejects(read, refusedAs("not-leader", /this control plane stops/)),
  );
  await one.stop();
  await Promise.all(refused);
});
