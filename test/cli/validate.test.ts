import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import Schema from "typebox/schema";
import { parse } from "yaml";
import { readConfigDir } from "../../host/config-dir.ts";

const ROOT = join(import.meta.dirname, "../..");
let dir: string;
before(() => {
  dir = mkdtempSync(join(tmpdir(), "tidegate-validate-"));
});
after(() => rmSync(dir, { recursive: true, force: true }));

function tidegate(...args: string[]) {
  const run = spawnSync(process.execPath, [join(ROOT, "cli/tidegate.mjs"), ...args], {
    cwd: ROOT,
    encoding: "utf8",
  });
  return { status: run.status, out: run.stdout, err: run.stderr };
}

function copyOfDemo(name: string, change: (routes: string) => string): string {
  const copy = join(dir, name);
  cpSync(join(ROOT, "configs/demo"), copy, { recursive: true });
  const routes = join(copy, "routes.yaml");
  writeFileSync(routes, change(readFileSync(routes, "utf8")));
  return copy;
}

describe("tidegate validate", () => {
  it("accepts the examples", () => {
    assert.deepEqual(tidegate("validate", "configs/demo"), {
      status: 0,
      out: "",
      err: "configs/demo: valid: 3 units, 1024 slots, 1 service, 3 routes\n",
    });
    assert.equal(tidegate("validate", "configs/double11").status, 0);
  });

  it("prints each problem with its place, and ends with 1", () => {
    const copy = copyOfDemo("wrong", (routes) => routes.replace("scope: center", "scope: centre"));
    const { status, out, err } = tidegate("validate", copy);
    const [problem, summary] = err.split("\n");
    assert.deepEqual([status, out], [1, ""]);
    assert.match(
      problem!,
      /^\S+\/wrong\/routes\.yaml:\d+:12: unknown-word: `scope` is `centre`; expected .*did you mean `center`\?$/,
    );
    assert.equal(summary, `${copy}: invalid: 1 error`);
  });

  it("accepts with warnings", () => {
    const copy = copyOfDemo("warned", (routes) => routes.replace("failover: reads ", "failover: all "));
    const { status, err } = tidegate("validate", copy);
    assert.equal(status, 0);
    assert.match(err, /: warning: sharded-writes-stay: .*\n.*: valid: .*3 routes, 1 warning\n$/);
  });

  it("prints JSON", () => {
    const copy = copyOfDemo("json", (routes) => routes.replace("service: shop", "service: shpo"));
    const { status, out, err } = tidegate("validate", copy, "--json");
    const { valid, problems } = JSON.parse(out) as {
      valid: boolean;
      problems: { code: string; file: string }[];
    };
    assert.deepEqual([status, err, valid], [1, "", false]);
    assert.deepEqual(
      problems.map((p) => [p.code, p.file]),
      [["unknown-service", join(copy, "routes.yaml")]],
    );
    assert.deepEqual(JSON.parse(tidegate("validate", "configs/demo", "--json").out), {
      valid: true,
      problems: [],
    });
  });

  it("ends with 2 for a wrong command line", () => {
    for (const args of [["validate"], ["validate", "no/such/dir"], ["validate", ".", "--jsn"]]) {
      const { status, out, err } = tidegate(...args);
      assert.deepEqual([status, out], [2, ""], args.join(" "));
      assert.notEqual(err, "");
    }
  });

  it("teaches", () => {
    const { status, out } = tidegate("--help");
    assert.equal(status, 0);
    assert.match(out, /tidegate validate configs\/demo/);
    const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
    assert.equal(tidegate("--version").out, `${version}\n`);
  });
});

describe("the schemas", () => {
  it("are what the code says", () => {
    const run = spawnSync(process.execPath, ["cli/schema.ts", "--check"], { cwd: ROOT, encoding: "utf8" });
    assert.deepEqual([run.status, run.stderr], [0, ""]);
  });
});

describe("the schemas' judgement", () => {
  const accepts = (schema: string, value: unknown): boolean =>
    Schema.Compile(
      JSON.parse(readFileSync(join(ROOT, `configs/schema/${schema}.schema.json`), "utf8")),
    ).Check(value);
  const example = (file: string): Record<string, unknown> =>
    parse(readFileSync(join(ROOT, "configs", file), "utf8"));

  it("is that of the command for the examples", () => {
    for (const file of ["demo/fleet", "demo/routes", "demo/gateway", "double11/fleet", "double11/routes"]) {
      assert.ok(accepts(file.split("/")[1]!, example(`${file}.yaml`)), file);
    }
  });

  it("refuses unknown fields and quantities without a unit", () => {
    const gateway = example("demo/gateway.yaml");
    assert.ok(!accepts("gateway", { ...gateway, trusted: [] }));
    assert.ok(!accepts("gateway", { ...gateway, accessLog: { sample: 1 } }));
  });
});

describe("readConfigDir", () => {
  it("names every file it looked for, and follows links as Kubernetes makes them", () => {
    const mount = join(dir, "mount");
    cpSync(join(ROOT, "configs/demo"), join(mount, "..data"), { recursive: true });
    for (const name of ["fleet.yaml", "routes.yaml", "fallbacks"])
      symlinkSync(`..data/${name}`, join(mount, name));
    const { config, problems, files } = readConfigDir(mount);
    assert.deepEqual(problems, []);
    assert.notEqual(config, undefined);
    const names = [
      "alerts.yaml",
      "fallbacks/hall.html",
      "fleet.yaml",
      "forecast.csv",
      "gateway.yaml",
      "routes.yaml",
      "safety.yaml",
    ];
    assert.deepEqual(files.toSorted(), names);
  });

  it("reports what cannot be read", () => {
    const odd = join(dir, "odd");
    mkdirSync(join(odd, "gateway.yaml"), { recursive: true });
    writeFileSync(join(odd, "fleet.yaml"), Buffer.from([0x66, 0xff, 0xfe]));
    writeFileSync(join(odd, "routes.yaml"), Buffer.alloc(16 * 1024 * 1024 + 1, "#"));
    const { config, problems } = readConfigDir(odd);
    assert.equal(config, undefined);
    assert.deepEqual(
      problems.map((p) => `${p.file}:${p.line}:${p.column}: ${p.code}: ${p.message}`),
      [
        "fleet.yaml:1:1: unreadable-file: it is not UTF-8; expected a text file",
        "gateway.yaml:1:1: unreadable-file: it is no regular file; expected a text file",
        "routes.yaml:1:1: unreadable-file: it has 16777217 bytes; expected at most 16 MiB",
      ],
    );
  });

  it("reports a directory that is not there", () => {
    const { problems, files } = readConfigDir(join(dir, "nowhere"));
    assert.deepEqual(
      problems.map((p) => `${p.file}: ${p.code}`),
      ["fleet.yaml: missing-file", "routes.yaml: missing-file"],
    );
    assert.deepEqual(files, [
      "fleet.yaml",
      "routes.yaml",
      "gateway.yaml",
      "safety.yaml",
      "forecast.csv",
      "alerts.yaml",
    ]);
  });
});
