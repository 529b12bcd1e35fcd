/** Chance, led by /openapi.json: whatever is sent, the control plane refuses it as it says, or does it; it never breaks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { startControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, ROUTES } from "../../support/gateway.ts";

const FILES = {
  "fleet.yaml": fleetYaml({ hz: ["http://127.0.0.1:1"], sh: ["http://127.0.0.1:2"] }),
  "routes.yaml": ROUTES,
};
const RUNS = 40;

interface Schema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly const?: unknown;
  readonly pattern?: string;
  readonly maxLength?: number;
  readonly maxItems?: number;
}

interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: Schema }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<Record<string, { readonly content?: object }>>;
}

const NASTY = [
  "",
  " ",
  "0",
  "-1",
  "hz",
  "hall",
  "ov-2",
  "1s",
  "a\0",
  "\ud800",
  "__proto__",
  "constructor",
  "é",
  "1e400",
];
const anything = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<unknown>,
  fc.constantFrom(...NASTY, 0, -1, 1.5, 2 ** 53, 1e300, null, true, [], {}),
);

/** What may fit a schema, now and then. */
function fitting(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map(fitting));
  switch (schema.type) {
    case "object": {
      const { properties, required = [] } = schema;
      if (properties === undefined) return fc.dictionary(text(schema), text(schema), { maxKeys: 3 });
      const fields = Object.entries(properties).map(([name, field]) => [name, mostly(field)] as const);
      return fc.record(Object.fromEntries(fields), { requiredKeys: [...required] });
    }
    case "array":
      return fc.array(mostly(schema.items ?? {}), { maxLength: Math.min(4, schema.maxItems ?? 4) });
    case "integer":
      return fc.oneof(fc.integer({ min: 0, max: 5 }), fc.maxSafeInteger());
    case "number":
      return fc.double({ noNaN: true, noDefaultInfinity: true });
    case "boolean":
      return fc.boolean();
    case "string":
      return text(schema);
    default:
      return anything;
  }
}

function mostly(schema: Schema): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 12, arbitrary: fitting(schema) }, { weight: 1, arbitrary: anything });
}

function text({ pattern, maxLength }: Schema): fc.Arbitrary<string> {
  const plain = fc.oneof(
    fc.constantFrom(...NASTY),
    fc.string({ unit: "binary", maxLength: Math.min(20, maxLength ?? 20) }),
  );
  // fast-check takes patterns that are not too clever.
  if (pattern === undefined || pattern.includes("\\u")) return plain;
  return fc.oneof(
    { weight: 3, arbitrary: fc.stringMatching(new RegExp(pattern)) },
    { weight: 1, arbitrary: plain },
  );
}

test("whatever is sent to any operation is answered as /openapi.json says, and never with a defect", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const { paths } = (await plane.call("GET", "/openapi.json")).body as {
    paths: Record<string, Record<string, Operation>>;
  };
  const seen = new Map<number, number>();
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { parameters = [], requestBody, responses }] of Object.entries(methods)) {
      if (/\/(stream|watch)$/.test(path)) continue;
      const given = (where: string) =>
        fc.record(
          Object.fromEntries(parameters.filter((p) => p.in === where).map((p) => [p.name, mostly(p.schema)])),
          { requiredKeys: where === "path" ? undefined : [] } as object,
        ) as fc.Arbitrary<Record<string, unknown>>;
      const schema = requestBody?.content["application/json"]?.schema;
      const body = schema === undefined ? fc.constant(undefined) : mostly(schema);
      const property = fc.asyncProperty(given("path"), given("query"), body, async (params, query, sent) => {
        const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encode(params[name]));
        const search = Object.entries(query).map(([name, value]) => `${name}=${encode(value)}`);
        const url = `${plane.url}${filled}?${search.join("&")}`;
        const answer = await fetch(url, {
          method: method.toUpperCase(),
          ...(sent === undefined
            ? {}
            : { body: JSON.stringify(sent), headers: { "content-type": "application/json" } }),
          signal: AbortSignal.timeout(15_000),
        });
        const text = await answer.text();
        const what = `${method} ${url} ${JSON.stringify(sent)}: ${answer.status} ${text.slice(0, 300)}`;
        seen.set(answer.status, (seen.get(answer.status) ?? 0) + 1);
        assert.ok(answer.status < 500, what);
        // A name that is empty or has a slash leads elsewhere.
        if (![404, 405].includes(answer.status))
          assert.ok(`${answer.status}` in responses, `undocumented: ${what}`);
        if (answer.status < 400) return;
        assert.match(answer.headers.get("content-type") ?? "", /^application\/problem\+json/, what);
        const problem = JSON.parse(text);
        assert.equal(problem.status, answer.status, what);
        assert.match(problem.type, /^urn:tidegate:problem:[a-z-]+$/, what);
        assert.ok(problem.title.length > 0, what);
      });
      await fc.assert(property, { numRuns: RUNS, seed: 20_26, endOnFailure: false });
    }
  }
  t.diagnostic(`statuses: ${JSON.stringify(Object.fromEntries(seen))}`);
  assert.ok((seen.get(200) ?? 0) > 100 && (seen.get(400) ?? 0) > 100, "some fit, and some do not");
  assert.equal((await plane.call("GET", "/v1/audit/verification")).body.whole, true);
  assert.ok(!plane.stderr.includes("a defect"), plane.stderr);
});

function encode(value: unknown): string {
  const string = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  return encodeURIComponent(string.toWellFormed());
}
