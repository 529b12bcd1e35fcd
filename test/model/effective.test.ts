/** base ⊕ overlays, and how the sum travels. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { readBase } from "../../control-plane/base.ts";
import type { Config } from "../../model/config.ts";
import { effective } from "../../model/effective.ts";
import {
  conflictOf,
  describeChange,
  fieldsOf,
  type Overlay,
  type OverlayChange,
} from "../../model/overlay.ts";
import { configFrom, isNewer, type Manifest, sectionsOf } from "../../model/snapshot.ts";

const FILES = {
  "fleet.yaml": `fleet: test
regions: { r: {} }
units: { hz: { region: r, center: true }, sh: { region: r }, sz: { region: r } }
placement: { key: [ { header: x-user-id } ], slots: 16, map: { hz: 0-7, sh: 8-15 } }
services:
  hall:
    pools:
      hz: { stable: [ "http://127.0.0.1:1", "http://127.0.0.1:2" ], canary: [ "http://127.0.0.1:3" ] }
      sh: { stable: [ "http://127.0.0.1:4" ] }
  other: { pools: { hz: { stable: [ "http://127.0.0.1:5" ] } } }
`,
  "routes.yaml": `routes:
  - { name: a, match: { path: /a/* }, service: hall, scope: sharded, limits: [ l ], fallback: { status: 200, file: f.html },
      breaker: { errors: 50%, volume: 20, window: 10s, open: 5s } }
  - { name: b, match: { path: /b/* }, service: other, scope: center }
limits: { l: { rate: 10/s, burst: 20 } }
`,
  "f.html": "f",
};
const BASE = readBase(new Map(Object.entries(FILES))).config!;

const CHANGES: readonly OverlayChange[] = [
  { kind: "drain", unit: "sh", ramp: 1_000, deadline: 2_000 },
  { kind: "drain", unit: "sz", ramp: 0, deadline: 0 },
  { kind: "drain-endpoint", service: "hall", unit: "hz", endpoint: "http://127.0.0.1:1" },
  { kind: "weight", service: "hall", share: 0.25 },
  { kind: "pin", key: "ann", unit: "sz" },
  { kind: "pin", key: "__proto__", unit: "sh" },
  { kind: "limit", limit: "l", rate: 5 },
  { kind: "limit", limit: "l", burst: 7, mode: "dry-run" },
  { kind: "degrade", route: "a" },
  { kind: "mirror", route: "a", service: "other", version: "stable", share: 1, writes: false },
  { kind: "breaker", service: "hall", unit: "sh", state: "open" },
];

const laid = (changes: readonly OverlayChange[]): Overlay[] =>
  changes.map((change, i) => ({
    id: `ov-${i}`,
    change,
    owner: "ann",
    reason: "a test",
    since: 1_000 + i,
    expires: undefined,
  }));

/** What lists of forced breakers hold, in whatever order they were laid. */
const sorted = (config: Config): unknown => ({
  ...JSON.parse(JSON.stringify(config)),
  breakers: (config.breakers ?? []).map((b) => JSON.stringify(b)).sort(),
});

describe("base ⊕ overlays", () => {
  it("is the base where there are none, and leaves the base itself alone", () => {
    const before = JSON.stringify(BASE);
    assert.equal(effective(BASE, []).config, BASE);
    const all = effective(BASE, laid(CHANGES));
    assert.deepEqual(all.misfits, []);
    assert.notDeepEqual(all.config, BASE);
    assert.equal(JSON.stringify(BASE), before);
  });

  it("is the same whatever the order of the overlays", () => {
    const overlays = laid(CHANGES);
    const expected = sorted(effective(BASE, overlays).config);
    fc.assert(
      fc.property(fc.shuffledSubarray(overlays, { minLength: overlays.length }), (shuffled) => {
        assert.deepEqual(sorted(effective(BASE, shuffled).config), expected);
      }),
    );
  });

  it("without an overlay is what it was before that was laid", () => {
    fc.assert(
      fc.property(fc.subarray(laid(CHANGES)), fc.constantFrom(...laid(CHANGES)), (others, one) => {
        const without = others.filter((o) => o.id !== one.id);
        const [before, after] = [effective(BASE, without), effective(BASE, [...without, one])];
        assert.deepEqual(effective(BASE, without).config, before.config);
        assert.notDeepEqual(after.config, before.config, describeChange(one.change));
      }),
    );
  });

  it("of an overlay that does not fit is a misfit with its name, and changes nothing", () => {
    const misfits: [OverlayChange, RegExp][] = [
      [
        { kind: "drain", unit: "xx", ramp: 0, deadline: 0 },
        /overlay ov-0 \(drain xx\) does not fit: there is no unit xx/,
      ],
      [{ kind: "pin", key: "k", unit: "xx" }, /no unit xx/],
      [{ kind: "limit", limit: "xx", rate: 1 }, /no limit xx/],
      [{ kind: "weight", service: "other", share: 1 }, /no canary endpoints/],
      [{ kind: "degrade", route: "b" }, /no fallback/],
      [
        { kind: "drain-endpoint", service: "hall", unit: "sh", endpoint: "http://127.0.0.1:4" },
        /last of its version/,
      ],
      [
        { kind: "drain-endpoint", service: "hall", unit: "sz", endpoint: "http://127.0.0.1:4" },
        /no pool in unit sz/,
      ],
      [
        { kind: "drain-endpoint", service: "hall", unit: "hz", endpoint: "http://127.0.0.1:9" },
        /no endpoint of hall/,
      ],
      [
        { kind: "breaker", service: "other", unit: "hz", state: "open" },
        /no route to service other has a breaker/,
      ],
      [
        { kind: "mirror", route: "a", service: "hall", version: "stable", share: 1, writes: false },
        /its own requests twice/,
      ],
    ];
    for (const [change, message] of misfits) {
      const { config, misfits: found } = effective(BASE, laid([change]));
      assert.match(found.join(), message);
      assert.equal(config, BASE);
    }
  });
});

describe("two overlays", () => {
  it("conflict where they write the same field, and only there", () => {
    const overlays = laid(CHANGES);
    for (const [i, one] of overlays.entries()) {
      assert.equal(conflictOf(one.change, overlays)?.overlay, one, describeChange(one.change));
      assert.equal(conflictOf(one.change, overlays.toSpliced(i, 1)), undefined, describeChange(one.change));
    }
    const fields = overlays.flatMap((o) => fieldsOf(o.change));
    assert.equal(new Set(fields).size, fields.length);
  });

  it("of one limit share it as long as they write different fields", () => {
    const [rate] = laid([{ kind: "limit", limit: "l", rate: 5 }]);
    assert.equal(conflictOf({ kind: "limit", limit: "l", burst: 5 }, [rate!]), undefined);
    assert.equal(
      conflictOf({ kind: "limit", limit: "l", burst: 5, rate: 1 }, [rate!])?.field,
      "limits.l.rate",
    );
  });
});

describe("a snapshot", () => {
  it("is the configuration again, when its sections are put together", () => {
    const { config } = effective(BASE, laid(CHANGES));
    assert.deepEqual(configFrom(sectionsOf(config)), JSON.parse(JSON.stringify(config)));
    assert.deepEqual(configFrom(sectionsOf(BASE)), JSON.parse(JSON.stringify(BASE)));
  });

  it("of many routes keeps their order, and a change of one is a change of little", () => {
    const routes = Array.from({ length: 500 }, (_, i) => ({ ...BASE.routes[1]!, name: `r${i}` }));
    const before = sectionsOf({ ...BASE, routes });
    assert.deepEqual(
      configFrom(before).routes.map((r) => r.name),
      routes.map((r) => r.name),
    );
    const without = sectionsOf({ ...BASE, routes: routes.toSpliced(250, 1) });
    const changed = [...without].filter(([name, text]) => before.get(name) !== text);
    assert.ok(changed.length <= 3, changed.map(([name]) => name).join());
    assert.ok(changed.reduce((sum, [, text]) => sum + text.length, 0) < 60_000);
  });

  it("that lacks a section, or has one that is no JSON, says which", () => {
    const sections = new Map(sectionsOf(BASE));
    sections.delete("placement");
    assert.throws(() => configFrom(sections), /section placement is missing/);
    sections.set("placement", "{");
    assert.throws(() => configFrom(sections), /section placement is no JSON/);
  });

  it("is newer by epoch, then by revision", () => {
    const manifest = (epoch: number, revision: number): Manifest => ({
      fleet: "f",
      epoch,
      revision,
      at: 0,
      sections: {},
    });
    const than = { epoch: 3, revision: 7 };
    assert.ok(isNewer(manifest(3, 8), than));
    assert.ok(isNewer(manifest(4, 1), than));
    assert.ok(!isNewer(manifest(3, 7), than));
    assert.ok(!isNewer(manifest(3, 6), than));
    assert.ok(!isNewer(manifest(2, 99), than));
  });
});
