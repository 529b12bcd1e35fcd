/** What the k6 scenarios are made of, as far as it runs without k6; and how k6 is found. */
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { findK6 } from "../../host/k6.ts";
import { Chooser } from "../../loadtest/scenarios/lib/chooser.ts";
import { resultOf, type Summary, summaryFiles } from "../../loadtest/scenarios/lib/summary.ts";
import type { RunFile } from "../../model/load/run-file.ts";

test("a chooser takes each thing in its share", () => {
  const chooser = new Chooser([3, 0, 1]);
  const counts = [0, 0, 0];
  for (let i = 0; i < 1_000; i++) counts[chooser.next(i / 1_000)]!++;
  assert.deepEqual(counts, [750, 0, 250]);
  assert.equal(new Chooser([]).next(0.5), 0);
  assert.equal(new Chooser([0, 0]).next(0.9), 0);
  assert.equal(new Chooser([1, 1]).next(0.999999), 1);
});

describe("a summary", () => {
  const run: RunFile = {
    ...{ scenario: "unit-stress", title: "sh", rate: 10, seconds: 5, settle: 1, timeout: 1_000, slots: 2 },
    ...{
      mix: [],
      key: { from: "header", name: "x-user-id" },
      bounds: {},
      connections: { first: 1, most: 1 },
    },
    targets: [{ unit: "sh", share: 1, urls: [], headers: {}, keys: [], skew: 0 }],
    ...{ json: "/out.json", html: "/out.html" },
  };
  const trend = { "p(50)": 1, "p(95)": 2, "p(99)": 3, max: 4, count: 30 };
  const data: Summary = {
    state: { testRunDurationMs: 5_100 },
    metrics: {
      tidegate_asked: { values: { count: 30 } },
      tidegate_ok: { values: { rate: 0.9 } },
      tidegate_took: { values: trend },
      "tidegate_asked{slot:1}": { values: { count: 20 } },
      "tidegate_ok{slot:1}": { values: { rate: 0.85 }, thresholds: {} },
      "tidegate_took{slot:1}": { values: trend },
      "tidegate_asked{slot:0}": { values: { count: 0 } },
      "tidegate_ok{unit:sh}": { values: { rate: 0.9 }, thresholds: { "rate>=0.99": { ok: false } } },
      "tidegate_answers{status:200}": { values: { count: 27 } },
      "tidegate_answers{status:503}": { values: { count: 3 } },
      "tidegate_answers{status:404}": { values: { count: 0 } },
      dropped_iterations: { values: { count: 2 } },
    },
  };

  test("is what k6 counted, by slot and unit, and failed where a threshold was crossed", () => {
    const result = resultOf(run, data);
    assert.deepEqual([result.asked, result.success, result.p99, result.dropped], [30, 0.9, 3, 2]);
    assert.deepEqual(result.statuses, { "200": 27, "503": 3 });
    assert.deepEqual(
      result.slots.map(({ from, to, asked, success }) => [from, to, asked, success]),
      [
        [0, 2, 0, null],
        [2, 4, 20, 0.85],
      ],
    );
    assert.deepEqual(result.rules, [{ metric: "tidegate_ok{unit:sh}", rule: "rate>=0.99", holds: false }]);
    assert.equal(result.passed, false);
    const files = summaryFiles(run, result);
    assert.deepEqual(Object.keys(files), ["stdout", "/out.json", "/out.html"]);
    assert.deepEqual(JSON.parse(files["/out.json"]!), result);
  });

  test("of a run without a request is no data, and not well", () => {
    const nothing = resultOf(run, { state: { testRunDurationMs: 10 }, metrics: {} });
    assert.deepEqual([nothing.asked, nothing.success, nothing.passed], [0, null, true]);
    assert.ok(!/NaN|undefined/.test(Object.values(summaryFiles(run, nothing)).join()));
    const judged = resultOf(run, data, () => [{ metric: "m", rule: "r", holds: true }]);
    assert.equal(judged.rules.length, 2);
  });
});

describe("k6", () => {
  function place(t: TestContext, commands: Readonly<Record<string, string>>): string {
    const dir = mkdtempSync(join(tmpdir(), "tidegate-k6-find-"));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    for (const [name, script] of Object.entries(commands)) {
      writeFileSync(join(dir, name), `#!/bin/sh\n${script}\n`);
      chmodSync(join(dir, name), 0o755);
    }
    return dir;
  }
  const K6 = 'echo "k6 v1.8.1 (go1.26, linux/amd64)"';

  test("is taken from its variable, then from the PATH, where it is new enough", (t) => {
    const dir = place(t, { k6: K6, other: K6 });
    const cache = join(dir, "cache");
    assert.equal(findK6({ env: { PATH: dir }, cache }), join(dir, "k6"));
    const given = { PATH: dir, TIDEGATE_K6: join(dir, "other") };
    assert.equal(findK6({ env: given, cache }), join(dir, "other"));
    const old = place(t, { k6: 'echo "k6 v0.49.0"' });
    assert.throws(
      () => findK6({ env: { PATH: old }, cache }),
      /is v0\.49\.0, and too old, and there is no Go/,
    );
    assert.throws(
      () => findK6({ env: { PATH: dir, TIDEGATE_K6: "/nowhere/k6" }, cache }),
      /TIDEGATE_K6 is \/nowhere\/k6, which does not run .*; expected k6 1\.0 or newer/,
    );
  });

  test("is built once where Go is, and kept", (t) => {
    const script = [
      '[ "$1" = install ] || exit 1',
      `cat > "$GOBIN/k6" <<'END'\n#!/bin/sh\n${K6}\nEND`,
      'chmod +x "$GOBIN/k6"',
    ].join("\n");
    const dir = place(t, { go: script });
    const cache = join(dir, "cache");
    const env = { PATH: `${dir}:/bin:/usr/bin` };
    const said: string[] = [];
    const built = findK6({ env, cache, say: (text) => said.push(text) });
    assert.ok(built.startsWith(cache) && existsSync(built));
    assert.equal(said.length, 1);
    assert.equal(findK6({ env: { PATH: "/nowhere" }, cache, say: (text) => said.push(text) }), built);
    assert.equal(said.length, 1, "and not again");
  });

  test("that cannot be had is one message, which says how to get it", (t) => {
    const dir = place(t, { go: "echo 'dial tcp: no such host' >&2; exit 1" });
    const cache = join(dir, "cache");
    const message =
      /^NoK6: k6, the load generator, is not on the PATH, and (.*)\. Install k6 \(https:.*\), or Go .* \(go install go\.k6\.io\/k6@v[\d.]+\), or name a k6 in TIDEGATE_K6$/;
    assert.throws(() => findK6({ env: { PATH: "/nowhere" }, cache }), message);
    assert.throws(
      () => findK6({ env: { PATH: `${dir}:/bin` }, cache }),
      /go install .* failed \(dial tcp: no such host\)/,
    );
  });
});
