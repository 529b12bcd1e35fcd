import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Chronicle } from "../../loadtest/demo/chronicle.ts";
import { parseFlags, parseScript } from "../../loadtest/demo/flags.ts";
import { copyWithPorts, readFleet } from "../../loadtest/demo/fleet.ts";
import { type Asked, commandOf } from "../../loadtest/demo/keys.ts";
import { freePorts, requireFree } from "../../loadtest/demo/ports.ts";
import { complaints, type Deed } from "../../loadtest/demo/verdict.ts";
import { compare } from "../../loadtest/demo/window.ts";

const FLEET = `
units:
  hz: { region: r, center: true }
  sh: { region: r }
services:
  hall:
    pools:
      hz: { stable: [ "http://127.0.0.1:9101", "http://127.0.0.1:9102" ] }
      sh: { stable: [ "http://127.0.0.1:9201" ], canary: [ "http://127.0.0.1:9202" ] }
  orders: # the same processes
    pools:
      hz: { stable: [ "http://127.0.0.1:9101" ] }
`;

async function inDirectory(run: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "demo-test-"));
  try {
    await writeFile(join(directory, "fleet.yaml"), FLEET);
    await run(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

test("the fleet has one endpoint for each address, with its keys", () =>
  inDirectory(async (directory) => {
    const units = await readFleet(directory);
    const told = units.map(({ name, digit, center, endpoints }) => {
      const list = endpoints.map(({ letter, version, port }) => `${letter} ${version} ${port}`);
      return [name, digit, center, ...list];
    });
    assert.deepEqual(told, [
      ["hz", "1", true, "a stable 9101", "b stable 9102"],
      ["sh", "2", false, "c stable 9201", "d canary 9202"],
    ]);
  }));

test("the copy has other ports where they are an endpoint's, and nothing else changed", () =>
  inDirectory(async (directory) => {
    const ports = new Map([
      [9101, 9102],
      [9102, 9101],
    ]);
    const copy = await copyWithPorts(directory, ports);
    try {
      const text = await readFile(join(copy, "fleet.yaml"), "utf8");
      assert.match(
        text,
        /hz: \{ stable: \[ "http:\/\/127\.0\.0\.1:9102", "http:\/\/127\.0\.0\.1:9101" \] \}/,
      );
      assert.equal(text.replaceAll(/910[12]/g, "x"), FLEET.replaceAll(/910[12]/g, "x"));
    } finally {
      await rm(copy, { recursive: true });
    }
  }));

describe("flags", () => {
  test("a script is sorted by time", () => {
    assert.deepEqual(parseScript("revive:hz@12.5, kill:hz@5"), [
      { action: "kill", target: "hz", at: 5 },
      { action: "revive", target: "hz", at: 12.5 },
    ]);
  });
  for (const [args, complaint] of [
    [["--port", "x"], /--port is "x"; expected a number from 0 to 65535/],
    [["--seconds", "0"], /--seconds is "0"/],
    [["--script", "burn:hz@3"], /"burn:hz@3"; expected ACTION:TARGET@SECONDS with kill, revive/],
    [["--colour"], /--colour/],
  ] as const) {
    test(`refuses ${args.join(" ")}`, () => assert.throws(() => parseFlags(args), complaint));
  }
});

test("a taken port is named, with the flag that chooses another", async () => {
  const server = createServer();
  const [port] = (await freePorts(1)) as [number];
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  await assert.rejects(requireFree([{ port, flag: "--port" }]), {
    message: `Port ${port} is taken: end the process that listens on it, or choose another with --port N.`,
  });
  await new Promise((resolve) => server.close(resolve));
  await requireFree([{ port, flag: "--port" }]);
});

test("keys", () =>
  inDirectory(async (directory) => {
    const units = await readFleet(directory);
    const pressed = (key: string, asked?: Asked) => commandOf(key, asked, units);
    assert.deepEqual(pressed("2"), { do: "toggle-kill", target: "sh" });
    assert.deepEqual(pressed("c"), { do: "toggle-kill", target: "c" });
    assert.deepEqual(pressed("n"), { do: "release", target: "good" });
    assert.deepEqual(pressed("r"), { do: "release", target: "bad" });
    assert.deepEqual(pressed("h"), { do: "ask", what: "hang" });
    assert.deepEqual(pressed("s"), { do: "ask", what: "slow" });
    assert.deepEqual(pressed("2", "slow"), { do: "toggle-slow", target: "sh" });
    assert.deepEqual(pressed("2", "hang"), { do: "toggle-hang", target: "sh" });
    assert.deepEqual(pressed("c", "hang"), { do: "nothing" });
    assert.deepEqual(pressed("9"), { do: "nothing" });
    for (const key of ["q", "\x03"]) assert.deepEqual(pressed(key, "hang"), { do: "quit" });
  }));

describe("the verdict", () => {
  const served = new Map([["hz", 10]]);
  const failure = (at: number, method = "POST") => ({ at, method, path: "/cart/17", what: "503" });
  const calm = { served, failures: [], refusedWrites: [], deeds: [] as Deed[] };
  const deeds: Deed[] = [
    { action: "kill", target: "hz", at: 20_000 },
    { action: "revive", target: "hz", at: 30_000 },
  ];

  test("is silent when all went well", () => assert.deepEqual(complaints(calm), []));
  test("names a unit that served nothing", () => {
    assert.deepEqual(complaints({ ...calm, served: new Map([["sz", 0]]) }), ["Unit sz served nothing."]);
  });
  test("excuses refused writes while a unit was down, and soon after", () => {
    const refusedWrites = [failure(19_000), failure(25_000), failure(33_000)];
    assert.deepEqual(complaints({ ...calm, deeds, refusedWrites }), []);
  });
  test("excuses none at other times", () => {
    const refusedWrites = [failure(10_000), failure(25_000), failure(50_000)];
    assert.deepEqual(complaints({ ...calm, deeds, refusedWrites }), [
      "2 writes were refused while all units were up: POST /cart/N 503 (2).",
    ]);
  });
  test("excuses what fails while a bad canary is out, and no longer", () => {
    const released: Deed[] = [{ action: "release", target: "bad", at: 20_000 }];
    const failures = [failure(19_000, "GET"), failure(25_000, "GET"), failure(90_000, "GET")];
    assert.deepEqual(complaints({ ...calm, deeds: released, failures }), [
      "2 requests failed: GET /cart/N 503 (2).",
    ]);
    const good: Deed[] = [{ action: "release", target: "good", at: 20_000 }];
    assert.equal(complaints({ ...calm, deeds: good, failures }).length, 1);
  });
  test("excuses no failed read at any time", () => {
    assert.deepEqual(complaints({ ...calm, deeds, failures: [failure(25_000, "GET")] }), [
      "1 requests failed: GET /cart/N 503 (1).",
    ]);
  });
});

test("the chronicle tells a deed, what the gateway made of it, and a failover once", () =>
  inDirectory(async (directory) => {
    let now = 0;
    const told: string[] = [];
    const units = await readFleet(directory);
    const chronicle = new Chronicle({ now: () => now }, units, ({ at, text }) => told.push(`${at} ${text}`));
    const observe = (healthy: boolean, failovers: number) => {
      const verdict = { name: "tidegate_unit_healthy", labels: { unit: "hz" }, value: healthy ? 1 : 0 };
      const labels = { from: "hz", to: "sh", cause: "refused" };
      const count = { name: "tidegate_failovers_total", labels, value: failovers };
      const scrape = { at: now, samples: [verdict, count] };
      chronicle.observe(compare(scrape, scrape, ["hz", "sh"]));
    };
    observe(true, 0);
    now = 1000;
    chronicle.deed("kill", "hz");
    now = 2200;
    observe(false, 3);
    now = 2450;
    observe(false, 5);
    now = 9000;
    chronicle.deed("revive", "b");
    now = 10_000;
    observe(true, 5);
    assert.deepEqual(told, [
      "1 unit hz killed",
      "2.2 the gateway finds unit hz unhealthy, 1.2 s later",
      "2.2 requests of hz are answered by sh (refused)",
      "9 endpoint b (hz :9102) started again",
      "10 the gateway finds unit hz healthy, 1.0 s later",
    ]);
  }));
