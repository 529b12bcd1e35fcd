/** What clients may send to harm whoever looks: bombs, forged traces, and secrets that must be shown nowhere. */
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import type { RequestTrace } from "../../../model/request-trace.ts";
import { fleetYaml, ROUTES, startGateway, until } from "../../support/gateway.ts";
import { ask, deadOrigin, httpServer, problemOf, valuesOf } from "../forwarding/support.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const GIVEN = `00-${TRACE}-b7ad6b7169203331-01`;

/** A collector that remembers bytes. */
async function sink(t: TestContext): Promise<{ url: string; bytes: () => string }> {
  const chunks: Buffer[] = [];
  const server = http.createServer((request, response) => {
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => response.end());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, bytes: () => Buffer.concat(chunks).toString("latin1") };
}

async function stage(t: TestContext, answer: http.RequestListener, gatewayYaml: string) {
  const unit = await httpServer(t, answer);
  const gone = await httpServer(t, (request) => request.socket.destroy());
  const collector = await sink(t);
  const gateway = await startGateway(
    t,
    {
      "fleet.yaml": fleetYaml({ hz: [unit.url], sh: [gone.url] }, "  pins: { gone: sh }\n"),
      "routes.yaml": ROUTES,
      "gateway.yaml": gatewayYaml,
    },
    ["--otlp", collector.url, "--access-log", "-"],
  );
  const errors = async (query = ""): Promise<RequestTrace[]> =>
    (await (await gateway.admin(`/errors${query}`)).json()) as RequestTrace[];
  return { gateway, collector, errors };
}

test("contexts: what is forged, double or too long is left out, and a request never fails by it", async (t) => {
  const heard: string[][] = [];
  const { gateway } = await stage(
    t,
    (request, response) => {
      heard.push(request.rawHeaders);
      response.end("ok");
    },
    "tracing: { sample: 0% }\n",
  );
  const send = async (
    ...headers: string[]
  ): Promise<{ parent: string[]; state: string[]; status: number }> => {
    heard.length = 0;
    const { status } = await ask(gateway.port, { path: "/hall/1", headers: ["host", "a", ...headers] });
    return {
      status,
      parent: valuesOf(heard[0] ?? [], "traceparent"),
      state: valuesOf(heard[0] ?? [], "tracestate"),
    };
  };
  const good = await send("traceparent", GIVEN, "tracestate", "a=1", "tracestate", "b=2");
  assert.match(good.parent.join(), new RegExp(`^00-${TRACE}-(?!b7ad6b7169203331)\\w{16}-01$`));
  assert.deepEqual(good.state, ["a=1", "b=2"]);

  for (const [what, headers] of [
    ["malformed", ["traceparent", "00-zz-11-01", "tracestate", "a=1"]],
    ["all zero", ["traceparent", `00-${"0".repeat(32)}-b7ad6b7169203331-01`, "tracestate", "a=1"]],
    ["double", ["traceparent", GIVEN, "traceparent", GIVEN, "tracestate", "a=1"]],
    ["forbidden version", ["traceparent", `ff${GIVEN.slice(2)}`, "tracestate", "a=1"]],
  ] as const) {
    const { status, parent, state } = await send(...headers);
    assert.equal(status, 200, what);
    assert.match(parent.join(), /^00-\w{32}-\w{16}-00$/, what);
    assert.ok(!parent[0]!.includes(TRACE), what);
    assert.deepEqual(state, [], what);
  }
  const members = (n: number): string => Array.from({ length: n }, (_, i) => `k${i}=1`).join(",");
  for (const [state, kept] of [
    [members(32), true],
    [members(33), false],
    [`a=${"x".repeat(510)}`, true],
    [`a=${"x".repeat(511)}`, false],
    [",".repeat(400), true],
    [`a=${"x".repeat(40_000)}`, false],
  ] as const) {
    const { status, state: passed } = await send("traceparent", GIVEN, "tracestate", state);
    assert.deepEqual([status, passed], [200, kept ? [state] : []], state.slice(0, 20));
  }
  const huge = await ask(gateway.port, {
    path: "/hall/1",
    headers: { traceparent: GIVEN, tracestate: `a=${"x".repeat(1_048_576)}` },
  }).catch((error: NodeJS.ErrnoException) => error.code);
  // Refused before it was read whole, so the client may see the connection end first.
  if (typeof huge === "object") assert.deepEqual([huge.status, problemOf(huge)], [431, "headers-too-large"]);
  else assert.match(String(huge), /ECONNRESET|EPIPE/);
  assert.equal((await send("traceparent", GIVEN)).status, 200, "the gateway is unharmed");
});

test("a secret of a client's is in no log, metric, error trace or span", async (t) => {
  const secret = "canary-5e0c1f";
  const { gateway, collector, errors } = await stage(
    t,
    (_request, response) => response.writeHead(500).end(),
    "tracing: { sample: 100%, slow: 1s, headers: [x-shop-secret] }\nidentity: { tenant: [ { header: x-tenant } ] }\n",
  );
  for (const user of [secret, "gone"]) {
    await ask(gateway.port, {
      path: `/cart/1?token=${secret}&uid=${secret}`,
      headers: {
        authorization: `Bearer ${secret}`,
        cookie: `session=${secret}; uid=${secret}`,
        "x-api-key": secret,
        "x-user-id": user,
        "x-tenant": secret,
        "x-shop-secret": secret,
        "x-whatever": secret,
        baggage: `secret=${secret}`,
        referer: `http://shop.test/?t=${secret}`,
        traceparent: GIVEN,
      },
    });
  }
  await until("both are in the ring", errors, (found) => found.length === 2);
  await until("both are with the collector", () => collector.bytes().split("GET /cart/*").length === 3);
  await until("both are in the log", () => gateway.stdout.split("/cart/1").length === 3);
  const plain = await (await gateway.admin("/metrics")).text();
  const open = await (
    await gateway.admin("/metrics", { headers: { accept: "application/openmetrics-text; version=1.0.0" } })
  ).text();
  const everywhere = [
    gateway.stdout,
    gateway.stderr,
    plain,
    open,
    JSON.stringify(await errors()),
    collector.bytes(),
    JSON.stringify(await gateway.status()),
  ];
  for (const text of everywhere) assert.ok(text.length > 0 && !text.includes(secret), text.slice(0, 2_000));
  const [one] = (await errors()).filter(({ status }) => status === 500);
  assert.match(one!.headers["x-user-id"]!, /^user-\w{12}$/);
  assert.match(one!.headers["x-tenant"]!, /^user-\w{12}$/);
  assert.equal(one!.headers.authorization, "[redacted]");
  assert.equal(one!.headers.traceparent, GIVEN);
});

test("an error trace says what happened, is found by its words, and by its exemplar", async (t) => {
  const { gateway, errors } = await stage(
    t,
    (request, response) => {
      if (request.url === "/hall/slow") setTimeout(() => response.end("late"), 120);
      else if (request.url === "/orders/cut") {
        response.writeHead(200, { "content-length": "10" }).write("half");
        setTimeout(() => response.destroy(), 20);
      } else response.end("ok");
    },
    "tracing: { sample: 0%, slow: 100ms }\n",
  );
  const before = Date.now();
  assert.equal(
    (await ask(gateway.port, { path: "/cart/1", headers: { "x-user-id": "gone", traceparent: GIVEN } }))
      .status,
    200,
  );
  assert.equal(
    (
      await ask(gateway.port, {
        method: "POST",
        path: "/cart/1",
        headers: { "x-user-id": "gone", traceparent: GIVEN },
      })
    ).status,
    502,
  );
  await assert.rejects(ask(gateway.port, { path: "/orders/cut" }));
  await ask(gateway.port, { path: "/hall/slow" });
  const failed = await until(
    "two failures",
    () => errors("?kind=failed&since=1m"),
    (found) => found.length === 2,
  );
  const [cut, refused] = failed as [RequestTrace, RequestTrace];
  const { at, duration, waited, attempts, headers, gateway: by, spanId, ...said } = refused;
  assert.deepEqual(said, {
    traceId: TRACE,
    revision: 1,
    kind: "failed",
    route: "cart",
    unit: "sh",
    home: "sh",
    slot: said.slot,
    version: "stable",
    reason: said.reason,
    failover: "",
    method: "POST",
    path: "/cart/1",
    status: 502,
    problem: "upstream-reset",
    stress: "",
  });
  assert.match(said.reason, /^the key is pinned to sh/);
  assert.ok(
    at >= before - 5 &&
      duration > 0 &&
      duration < 5_000 &&
      waited <= duration &&
      by !== "" &&
      spanId.length === 16,
  );
  for (const { unit, status, error, headers: head } of attempts) {
    assert.deepEqual([unit, status, error, head], ["sh", 0, "reset", -1]);
  }
  assert.equal(headers["x-user-id"]!.startsWith("user-"), true);
  assert.deepEqual(
    [cut.route, cut.status, cut.problem, cut.attempts.length],
    ["orders", 200, "upstream-reset", 1],
  );
  assert.deepEqual([cut.attempts[0]!.error, cut.attempts[0]!.status], ["reset", 200]);
  assert.deepEqual(
    (await errors(`?trace=${TRACE}`)).map(({ method }) => method),
    ["POST"],
  );
  assert.deepEqual(await errors("?unit=hz&route=cart"), []);
  for (const wrong of ["?kind=any", "?since=soon", "?unit=a&unit=b", "?nonsense=1"]) {
    assert.equal((await gateway.admin(`/errors${wrong}`)).status, 400, wrong);
  }
  const [slow] = await until(
    "the slow one",
    () => errors("?kind=slow"),
    (found) => found.length > 0,
  );
  assert.deepEqual([slow!.route, slow!.path, slow!.status], ["hall", "/hall/slow", 200]);
  assert.ok(slow!.attempts[0]!.headers >= 100);

  const answer = await gateway.admin("/metrics", { headers: { accept: "application/openmetrics-text" } });
  assert.equal(
    answer.headers.get("content-type"),
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
  );
  const text = await answer.text();
  assert.match(
    text,
    new RegExp(
      `^tidegate_requests_total\\{route="cart",unit="sh",version="stable",code="502"\\} 1 # \\{trace_id="${TRACE}"\\} 1 \\d+\\.\\d{3}$`,
      "m",
    ),
  );
  assert.match(
    text,
    new RegExp(
      `^tidegate_request_duration_seconds_bucket\\{route="hall",unit="hz",le="0.25"\\} \\d+ # \\{trace_id="${slow!.traceId}"\\} 0\\.1\\d+ `,
      "m",
    ),
  );
  assert.match(text, /^# TYPE tidegate_requests counter$/m);
  assert.ok(text.endsWith("\n# EOF\n"));
  const old = await gateway.admin("/metrics");
  assert.match(old.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
  assert.doesNotMatch(await old.text(), /trace_id|# EOF/);
});

test("a bomb of paths, methods, fields and traces makes no series", async (t) => {
  const { gateway } = await stage(
    t,
    (_request, response) => response.writeHead(500).end(),
    "tracing: { sample: 100% }\n",
  );
  const series = async (): Promise<number> =>
    (await (await gateway.admin("/metrics")).text())
      .split("\n")
      .filter((line) => line !== "" && !/^#|^tidegate_spans_/.test(line)).length;
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
  t.after(() => agent.destroy());
  const bomb = (from: number): Promise<unknown> =>
    Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        ask(gateway.port, {
          agent,
          method: ["GET", "PUT", "PURGE", "REPORT"][i % 4]!,
          path: `/hall/${from + i}`,
          headers: {
            host: `h${from + i}.test`,
            "user-agent": `a${from + i}`,
            [`x-${from + i}`]: "1",
            "x-user-id": `${from + i}`,
          },
        }),
      ),
    );
  await bomb(0);
  const first = await series();
  await bomb(1_000);
  await bomb(2_000);
  assert.equal(await series(), first);
});

for (const [what, listen] of [
  ["is not there", deadOrigin],
  ["never answers", async (t: TestContext) => (await httpServer(t, () => {})).url],
] as const) {
  test(`a collector that ${what} costs spans, counted, and no request`, async (t) => {
    const unit = await httpServer(t, (_request, response) => response.end("ok"));
    const collector = await listen(t);
    const gateway = await startGateway(
      t,
      {
        "fleet.yaml": fleetYaml({ hz: [unit.url] }),
        "routes.yaml": ROUTES,
        "gateway.yaml": "tracing: { sample: 100% }\n",
      },
      ["--otlp", collector],
    );
    const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
    t.after(() => agent.destroy());
    // More than a thread hands over in a second.
    for (let i = 0; i < 4; i++) {
      const answers = await Promise.all(
        Array.from({ length: 700 }, () => ask(gateway.port, { agent, path: "/hall/1" })),
      );
      assert.ok(answers.every(({ status }) => status === 200));
    }
    const began = performance.now();
    await gateway.stop();
    assert.ok(performance.now() - began < 6_000, "and does not hold up its end");
    assert.match(
      gateway.stderr,
      /"requests":\d{4},"msg":"the collector did not take the last spans in time"/,
    );
    assert.ok(gateway.stderr.split("the collector does not take spans").length <= 2, "said once at most");
  });
}

test("a collector's address that is none ends the start with a sentence", async (t) => {
  await assert.rejects(
    startGateway(t, { "fleet.yaml": fleetYaml({ hz: ["http://127.0.0.1:9"] }), "routes.yaml": ROUTES }, [
      "--otlp",
      "nonsense",
    ]),
    /--otlp \(or TIDEGATE_OTLP\) is nonsense; expected a URL such as http:\/\/127\.0\.0\.1:4318/,
  );
});
