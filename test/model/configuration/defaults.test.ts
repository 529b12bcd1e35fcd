import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { readConfig } from "../../../model/configuration/read-config.ts";
import { DEFAULT_GATEWAY_SETTINGS } from "../../../model/gateway-settings.ts";
import { FLEET, ROUTES, valid } from "./fixture.ts";

const CONFIGS = join(import.meta.dirname, "../../../configs");

function readExample(name: string) {
  const dir = join(CONFIGS, name);
  return readConfig(
    (file) => {
      try {
        return readFileSync(join(dir, file), "utf8");
      } catch {
        return undefined;
      }
    },
    () => globSync("{plans,rollouts}/*.yaml", { cwd: dir }),
  );
}

describe("the examples", () => {
  for (const name of ["demo", "double11"]) {
    it(`${name} is accepted without a warning`, () => {
      const { config, problems } = readExample(name);
      assert.deepEqual(problems, []);
      assert.notEqual(config, undefined);
    });
  }

  it("double11 means what it says", () => {
    const { fleet, routes, limits } = readExample("double11").config!;
    assert.deepEqual(
      fleet.units.map((u) => [u.name, u.center, u.capacity, u.failover]),
      [
        ["hz", true, 20_000, ["sh", "sz"]],
        ["sh", false, 20_000, ["hz", "sz"]],
        ["sz", false, 10_000, ["hz", "sh"]],
      ],
    );
    const { map, pins, key } = fleet.placement;
    assert.deepEqual(
      [map[0], map[409], map[410], map[819], map[820], map[1023]],
      ["hz", "hz", "sh", "sh", "sz", "sz"],
    );
    assert.equal(map.length, 1024);
    assert.deepEqual(pins, { "qa-1": "sz" });
    assert.deepEqual(key[0], { from: "header", name: "x-user-id" });
    assert.equal(fleet.services[0]!.health.kind, "http");
    assert.deepEqual(fleet.services[0]!.pools.sh, {
      stable: ["http://127.0.0.1:9201"],
      canary: ["http://127.0.0.1:9202"],
    });
    const [hall, cart] = routes;
    assert.deepEqual(hall!.timeout, { connect: 300, headers: 2000, idle: 10_000, total: 15_000 });
    assert.equal(hall!.fallback!.contentType, "text/html; charset=utf-8");
    assert.match(hall!.fallback!.body, /The hall is full/);
    assert.deepEqual([cart!.failover, cart!.priority, cart!.breaker], ["reads", "high", undefined]);
    assert.deepEqual(limits[0], {
      name: "hall-per-client",
      rate: 50,
      burst: 100,
      by: ["client"],
      scope: "gateway",
      mode: "enforce",
      keys: 100_000,
    });
  });
});

describe("defaults", () => {
  it("of the fleet", () => {
    assert.deepEqual(valid({}).fleet, {
      name: "tiny",
      regions: [
        { name: "east", near: [] },
        { name: "west", near: ["east"] },
      ],
      units: [
        {
          name: "a",
          region: "east",
          center: true,
          capacity: undefined,
          failover: ["b"],
          concurrency: "adaptive",
          inflight: 8192,
          queue: { size: 256, wait: 500 },
        },
        {
          name: "b",
          region: "west",
          center: false,
          capacity: undefined,
          failover: ["a"],
          concurrency: "adaptive",
          inflight: 8192,
          queue: { size: 256, wait: 500 },
        },
      ],
      placement: {
        key: [{ from: "header", name: "x-user" }],
        slots: 1024,
        map: [...new Array(512).fill("a"), ...new Array(512).fill("b")],
        pins: {},
        epoch: 1,
      },
      services: [
        {
          name: "app",
          health: {
            kind: "tcp",
            path: "",
            host: undefined,
            interval: 1000,
            timeout: 500,
            healthy: 2,
            unhealthy: 3,
            jitter: 0.1,
            status: [[200, 299]],
            body: undefined,
          },
          outlier: { consecutive: 5, baseEjection: 30_000, maxEjection: 300_000, maxShare: 0.5 },
          slowStart: 10_000,
          inflight: 1024,
          canary: { share: 0, salt: "app", header: undefined, pins: [] },
          tls: { ca: undefined, servername: undefined },
          pools: {
            a: { stable: ["http://10.0.0.1"], canary: [] },
            b: { stable: ["http://10.0.0.2:8080"], canary: [] },
          },
        },
      ],
    });
  });

  it("of a route and a limit", () => {
    const { routes, limits } = valid({});
    assert.deepEqual(routes, [
      {
        name: "home",
        match: { path: "/home/*", host: undefined, methods: [], headers: [] },
        service: "app",
        scope: "sharded",
        failover: "reads",
        missingKey: "refuse",
        key: undefined,
        priority: "normal",
        timeout: { connect: 1000, headers: 15_000, idle: 60_000, total: 0 },
        retry: {
          attempts: 2,
          on: ["refused", "reset", "timeout", "502", "503", "504"],
          budget: 0.2,
          unsafe: false,
        },
        breaker: undefined,
        fallback: undefined,
        limits: [],
        cost: 1,
        maxBody: 0,
      },
    ]);
    assert.deepEqual(limits, [
      { name: "slow", rate: 1.5, burst: 2, by: [], scope: "gateway", mode: "enforce", keys: 100_000 },
    ]);
  });

  it("of failover follow the scope", () => {
    const failover = (scope: string) =>
      valid({ "routes.yaml": ROUTES.replace("sharded", scope) }).routes[0]!.failover;
    assert.deepEqual(["nearest", "sharded", "center"].map(failover), ["all", "reads", "reads"]);
  });

  it("of an empty breaker, retry, health map, fallback and gateway.yaml", () => {
    const route = (field: string) =>
      valid({ "routes.yaml": ROUTES.replace("scope: sharded", `scope: center\n    ${field}`) }).routes[0]!;
    assert.deepEqual(route("breaker: {}").breaker, { errors: 0.5, volume: 20, window: 10_000, open: 5000 });
    assert.deepEqual(route("retry: none").retry.attempts, 0);
    assert.deepEqual(route("retry: { attempts: 1 }").retry.budget, 0.2);
    assert.deepEqual(route("timeout: { total: none }").timeout.total, 0);
    assert.deepEqual(route("timeout: { total: 0s }").timeout.total, 0);
    assert.deepEqual(route("fallback: { body: gone }").fallback, {
      hasAnswer: true,
      status: 200,
      contentType: "text/plain; charset=utf-8",
      body: "gone",
      location: undefined,
      stale: undefined,
    });
    const health = (text: string) =>
      valid({ "fleet.yaml": FLEET.replace("    pools:", `    health: ${text}\n    pools:`) }).fleet
        .services[0]!.health;
    assert.deepEqual([health("none").kind, health("{ kind: tcp }").kind], ["none", "tcp"]);
    assert.deepEqual(health("{ path: /up, status: [200, 300-399] }").status, [
      [200, 200],
      [300, 399],
    ]);
    assert.deepEqual(health("{ path: /up, status: 204 }").status, [[204, 204]]);
    assert.deepEqual(valid({ "gateway.yaml": "# nothing\n" }).gateway, DEFAULT_GATEWAY_SETTINGS);
    assert.deepEqual(valid({ "gateway.yaml": "{}" }).gateway, DEFAULT_GATEWAY_SETTINGS);
  });

  it("of a fleet without placement: everything lives in the center", () => {
    const fleet = FLEET.replace(/placement:[\s\S]*services:/, "services:");
    const { placement } = valid({
      "fleet.yaml": fleet,
      "routes.yaml": ROUTES.replace("sharded", "center"),
    }).fleet;
    assert.deepEqual(
      [placement.map.length, new Set(placement.map), placement.key],
      [1024, new Set(["a"]), []],
    );
  });

  it("of failover between units: own region, near regions in order, the rest in file order", () => {
    const fleet = `fleet: f
regions: { r1: { near: [r3] }, r2: {}, r3: {} }
units:
  one: { region: r1, center: true }
  two: { region: r2 }
  three: { region: r3 }
  four: { region: r1 }
  five: { region: r2 }
services: { app: { pools: { one: { stable: ["http://h"] } } } }
`;
    const { units } = valid({
      "fleet.yaml": fleet,
      "routes.yaml": ROUTES.replace("sharded", "center"),
    }).fleet;
    assert.deepEqual(
      units.map((u) => u.failover.join(" ")),
      [
        "four three two five",
        "five one three four",
        "one two four five",
        "one three two five",
        "two one three four",
      ],
    );
  });
});

describe("names from files", () => {
  it("may be what every object has, as pins", () => {
    const fleet = FLEET.replace("  map:", "  pins: { __proto__: b, constructor: a, 7: b, 0x1F: a }\n  map:");
    const { pins } = valid({ "fleet.yaml": fleet }).fleet.placement;
    assert.deepEqual(Object.entries(pins).sort(), [
      ["0x1F", "a"],
      ["7", "b"],
      ["__proto__", "b"],
      ["constructor", "a"],
    ]);
    assert.equal(Object.getPrototypeOf(pins), Object.prototype);
    assert.deepEqual(Object.entries(structuredClone(pins)), Object.entries(pins));
  });

  it("keep the file's order, even when they are numbers", () => {
    const fleet = FLEET.replaceAll(/\bb\b(?=:)/g, "9").replaceAll(/\ba\b(?=:)/g, "10");
    assert.deepEqual(
      valid({ "fleet.yaml": fleet }).fleet.units.map((u) => u.name),
      ["10", "9"],
    );
  });
});

describe("values", () => {
  it("are read once for many routes, and aliases work", () => {
    const asked: string[] = [];
    const files: Record<string, string> = {
      "fleet.yaml": FLEET,
      "routes.yaml": `routes:
  - { name: x, match: { path: /x }, service: app, scope: center, timeout: &t { total: 9s }, fallback: { file: f/a.json } }
  - { name: y, match: { path: /y }, service: app, scope: center, timeout: *t, fallback: { file: f/a.json, status: 503 } }
`,
      "f/a.json": "{}",
    };
    const { config } = readConfig((name) => {
      asked.push(name);
      return files[name];
    });
    assert.deepEqual(asked, [
      "fleet.yaml",
      "routes.yaml",
      "gateway.yaml",
      "f/a.json",
      "safety.yaml",
      "forecast.csv",
      "alerts.yaml",
    ]);
    assert.deepEqual(
      config!.routes.map((r) => r.timeout.total),
      [9000, 9000],
    );
    assert.deepEqual(config!.routes[1]!.fallback, {
      hasAnswer: true,
      status: 503,
      contentType: "application/json",
      body: "{}",
      location: undefined,
      stale: undefined,
    });
  });

  it("of addresses have one spelling", () => {
    const stable = (url: string) =>
      valid({ "fleet.yaml": FLEET.replace("http://10.0.0.1:80", url) }).fleet.services[0]!.pools.a!.stable[0];
    assert.deepEqual(
      ["HTTP://Shop.Example:80/", "https://x:443", "http://[::1]:9101", "http://[0:0::1]"].map(stable),
      ["http://shop.example", "https://x", "http://[::1]:9101", "http://[::1]"],
    );
  });
});
