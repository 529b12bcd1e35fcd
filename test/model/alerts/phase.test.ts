/** Pending, firing, resolved: by a clock that is moved by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { advance, type Phase } from "../../../model/alerts/phase.ts";

const RULE = { hold: 3, keepFiring: 5, onNoData: "hold" } as const;

/** One observation a tick: `+` holds, `-` does not, `?` nobody knows. @returns the first letter of each state */
function run(seen: string, rule: Parameters<typeof advance>[2] = RULE): string {
  let phase: Phase | undefined;
  let states = "";
  for (const [now, sign] of [...seen].entries()) {
    phase = advance(phase, sign === "?" ? undefined : sign === "+", rule, now);
    states += phase?.state[0] ?? "-";
  }
  return states;
}

const CASES: readonly (readonly [name: string, seen: string, states: string, rule?: object])[] = [
  ["it fires when it has held long enough", "+++++", "pppff"],
  ["what holds for less is nobody's business", "++-+++-", "pp-ppp-"],
  ["it goes on firing for a while, and then ends", "++++------", "pppffffffr"],
  ["what comes back meanwhile is the same alert", "++++---+---+", "pppfffffffff"],
  ["flapping faster than keep-firing is one alert", "++++-+-+-+-+-+", "pppfffffffffff"],
  ["after its end it begins anew", "++++-------+++++", "pppffffffrrpppff"],
  ["without for and keep-firing it does what it sees", "+-+", "frf", { hold: 0, keepFiring: 0 }],
  ["nobody knows: pending stays pending", "+????+", "pppppf"],
  ["nobody knows: firing stays firing", "++++-????????-", "pppffffffffffr"],
  ["nobody knows: nothing begins", "????", "----"],
  ["no data that fires", "????-", "pppff", { onNoData: "fire" }],
  ["no data that is well", "++++??????", "pppffffffr", { onNoData: "ok" }],
];

for (const [name, seen, states, rule = {}] of CASES) {
  test(name, () => assert.equal(run(seen, { ...RULE, ...rule }), states));
}

test("when it began, fired and ended is kept, and the same object where nothing changed", () => {
  const pending = advance(undefined, true, RULE, 100);
  assert.deepEqual(pending, { state: "pending", since: 100 });
  assert.equal(advance(pending, true, RULE, 101), pending);
  const firing = advance(pending, true, RULE, 103);
  assert.deepEqual(firing, { state: "firing", since: 100, firedAt: 103 });
  assert.equal(advance(firing, true, RULE, 104), firing);
  const clearing = advance(firing, false, RULE, 105);
  const resolved = advance(clearing, false, RULE, 110);
  assert.deepEqual(resolved, { state: "resolved", since: 100, firedAt: 103, resolvedAt: 110 });
  assert.equal(advance(resolved, false, RULE, 111), resolved);
});

test("that something ended is still known when it nearly began again", () => {
  const resolved: Phase = { state: "resolved", since: 1, firedAt: 4, resolvedAt: 20 };
  const pending = advance(resolved, true, RULE, 21);
  assert.equal(pending?.state, "pending");
  assert.equal(advance(pending, false, RULE, 22), resolved);
});

test("whatever is seen: nothing fires before its time, nor ends before its time", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(true, false, undefined), { maxLength: 60 }), (seen) => {
      let phase: Phase | undefined;
      let [held, cleared] = [0, 0];
      for (const [now, holds] of seen.entries()) {
        const before = phase;
        phase = advance(phase, holds, RULE, now);
        if (holds === true) [held, cleared] = [held + 1, 0];
        if (holds === false) [held, cleared] = [0, cleared + 1];
        if (holds === undefined) [held, cleared] = [held + 1, cleared + 1];
        if (phase?.state === "firing" && before?.state !== "firing") assert.ok(held > RULE.hold);
        if (phase?.state === "resolved" && before?.state === "firing") assert.ok(cleared > RULE.keepFiring);
      }
    }),
  );
});
