/** What a change is said to do: all of it, because a freeze may let one thing pass and not the other. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Base, readBase } from "../../control-plane/base.ts";
import { draftOverlays, type OverlaySet, type Standing } from "../../control-plane/draft.ts";
import { Refused } from "../../control-plane/refused.ts";
import type { Overlay, OverlayChange } from "../../model/overlay.ts";
import { fleetYaml, ROUTES } from "../support/gateway.ts";

const BASE: Base = new Map([
  [
    "fleet.yaml",
    fleetYaml({ hz: ["http://127.0.0.1:1"], sh: ["http://127.0.0.1:2"], sz: ["http://127.0.0.1:3"] }),
  ],
  ["routes.yaml", ROUTES],
]);

const drain = (unit: string): OverlayChange => ({ kind: "drain", unit, ramp: 0, deadline: 0 });
const pin = (key: string): OverlayChange => ({ kind: "pin", key, unit: "hz" });
const lies = (id: string, change: OverlayChange): Overlay => ({
  ...{ id, change, owner: "ann", reason: "a test", since: 1, expires: undefined },
});
const asked = (change: OverlayChange, supersedes?: string) => ({
  ...{ change, reason: "a test", expiresIn: undefined, supersedes },
});

function standing(...overlays: Overlay[]): Standing {
  const config = readBase(BASE).config!;
  const revision = {
    number: 7,
    at: 0,
    author: "",
    reason: "",
    cause: "",
    base: "",
    overlays: "",
    effective: "",
  };
  return { revision, base: BASE, baseConfig: config, overlays, config };
}

const actions = (set: OverlaySet, ...overlays: Overlay[]): readonly string[] =>
  draftOverlays(standing(...overlays), set, "ann", 5_000).actions;

test("a change that does several things says each of them, once", () => {
  const lay = [asked(drain("sh")), asked(pin("a")), asked(pin("b"))];
  assert.deepEqual(actions({ lay, remove: ["ov-2"] }, lies("ov-2", drain("sz"))), [
    "drain",
    "pin",
    "undrain",
  ]);
});

test("what takes the place of another gives nothing back", () => {
  const has = lies("ov-2", drain("sh"));
  assert.deepEqual(actions({ lay: [asked(drain("sh"), "ov-2")], remove: [] }, has), ["drain"]);
  assert.deepEqual(actions({ lay: [asked(drain("sh"))], remove: ["ov-2"] }, has), ["drain"]);
  assert.deepEqual(actions({ lay: [asked(pin("a"), "ov-2")], remove: [] }, has), ["pin", "undrain"]);
});

test("what is laid again is done again, and files that take the place of the base are applied", () => {
  assert.deepEqual(actions({ lay: [], remove: [], restore: [lies("ov-2", drain("sh"))] }), ["drain"]);
  assert.deepEqual(actions({ lay: [], remove: ["ov-2"], base: BASE }, lies("ov-2", drain("sz"))), [
    "apply",
    "undrain",
  ]);
});

test("there are so many overlays at once, and taking one away is never held back by that", () => {
  const many = Array.from({ length: 1_000 }, (_, i) => lies(`ov-${i}`, pin(`k${i}`)));
  const more = () => actions({ lay: [asked(pin("new"))], remove: [] }, ...many);
  assert.throws(
    more,
    (error) => error instanceof Refused && /1000 overlays already; take some away/.test(error.message),
  );
  assert.deepEqual(actions({ lay: [asked(pin("new"))], remove: ["ov-1"] }, ...many), ["pin", "unpin"]);
  assert.deepEqual(actions({ lay: [], remove: [], restore: [lies("ov-x", pin("x"))] }, ...many), ["pin"]);
});
