import assert from "node:assert/strict";
import { test } from "node:test";
import type { Peer } from "../../gateway/peer.ts";
import {
  addForwarded,
  clientOf,
  connectionNames,
  type RequestHead,
  readHead,
} from "../../gateway/request-head.ts";

const STRANGER = {
  trusted: false,
  address: "203.0.113.9",
  proto: "http",
  forwarded: "for=203.0.113.9;proto=http;host=",
};
const TRUSTED = { ...STRANGER, trusted: true };

function read(raw: string[], peer = STRANGER, minor = 1, major = 1): RequestHead {
  return readHead({
    raw: raw.some((field) => /^(host|:authority)$/i.test(field)) ? raw : ["Host", "shop.test", ...raw],
    httpVersionMajor: major,
    httpVersionMinor: minor,
    underscores: "refuse",
    peer: peer as Peer,
  });
}

const names = (head: RequestHead): string[] =>
  head.out.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());

test("hop-by-hop fields and those that Connection names stay behind", () => {
  const head = read([
    ...["Connection", "close, X-Secret", "X-Secret", "1", "Keep-Alive", "timeout=5", "TE", "trailers"],
    ...["Trailer", "x", "Upgrade", "foo", "Proxy-Authorization", "Basic x", "Proxy-Connection", "close"],
    ...["HTTP2-Settings", "x", "Accept", "*/*"],
  ]);
  assert.equal(head.refusal, undefined);
  assert.deepEqual(names(head), ["accept"]);
});

test("Connection cannot take away what the gateway adds afterwards", () => {
  const head = read(["Connection", "close, x-forwarded-for, host, x-tidegate-unit"]);
  addForwarded(head, STRANGER as Peer, "1.1");
  assert.ok(names(head).includes("x-forwarded-for"));
  assert.ok(names(head).includes("host"));
});

test("claims of strangers are left out; those of trusted peers are kept and added to", () => {
  const claims = [
    ...["X-Forwarded-For", "10.0.0.1", "X-Forwarded-Proto", "https", "X-Real-IP", "10.0.0.1"],
    ...["Forwarded", "for=10.0.0.1", "X-Tidegate-Unit", "sz", "x-forwarded-anything", "1"],
  ];
  const stranger = read(claims);
  assert.deepEqual(names(stranger), []);
  assert.equal(clientOf(stranger, STRANGER as Peer), "203.0.113.9");
  const trusted = read(claims, TRUSTED);
  assert.equal(clientOf(trusted, TRUSTED as Peer), "10.0.0.1");
  addForwarded(trusted, TRUSTED as Peer, "1.1");
  const out = Object.fromEntries(
    trusted.out.flatMap((field, i) => (i % 2 === 0 ? [[field.toLowerCase(), trusted.out[i + 1]]] : [])),
  );
  assert.equal(out["x-forwarded-for"], "10.0.0.1, 203.0.113.9");
  assert.equal(out["x-forwarded-proto"], "https");
  assert.equal(out["x-tidegate-unit"], undefined, "nobody says for us which unit was chosen");
});

test("a length that could be read in two ways is refused", () => {
  for (const raw of [
    ["Content-Length", "1", "Content-Length", "1"],
    ["Content-Length", ""],
    ["Content-Length", "+1"],
    ["Content-Length", "1, 1"],
    ["Content-Length", "0x1"],
    ["Content-Length", "1", "Transfer-Encoding", "chunked"],
    ["Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked"],
  ]) {
    assert.equal(read(raw).refusal, "ambiguous-length", raw.join(" "));
  }
  assert.equal(read(["Transfer-Encoding", "chunked"], STRANGER, 0).refusal, "ambiguous-length");
  assert.equal(read(["Transfer-Encoding", "gzip, chunked"]).refusal, "unsupported-transfer-coding");
  assert.equal(read(["Content-Length", "42"]).contentLength, 42);
  assert.equal(read(["Transfer-Encoding", "Chunked"]).chunked, true);
});

test("Host: one, and a host", () => {
  assert.equal(read(["Host", "a", "Host", "a"]).refusal, "bad-host");
  assert.equal(read(["Host", "a b"]).refusal, "bad-host");
  assert.equal(read(["Host", ""]).refusal, "bad-host");
  assert.equal(read(["Host", ""], STRANGER, 0).refusal, undefined);
  assert.equal(read(["Host", "SHOP.test:8080"]).host, "shop.test");
  assert.equal(read([":authority", "a", "host", "b"], STRANGER, 0, 2).refusal, "bad-host");
  assert.equal(read([":authority", "a", "host", "a"], STRANGER, 0, 2).host, "a");
});

test("names with an underscore are refused", () => {
  assert.equal(read(["x_user_id", "1"]).refusal, "ambiguous-header");
  assert.equal(read(["Transfer_Encoding", "chunked"]).refusal, "ambiguous-header");
});

test("split cookies become one, and an odd trace parent none", () => {
  const head = read(["cookie", "a=1", "cookie", "b=2", "tracestate", "x=1", "traceparent", "nonsense"]);
  const at = head.out.indexOf("cookie");
  assert.equal(head.out[at + 1], "a=1; b=2");
  assert.equal(head.traceparent, "");
  assert.ok(!names(head).includes("tracestate"));
  const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  assert.equal(read(["traceparent", parent, "traceparent", parent]).traceparent, "");
  assert.equal(read(["traceparent", parent]).traceparent, parent);
});

test("connectionNames", () => {
  assert.equal(connectionNames("keep-alive", undefined), undefined);
  assert.equal(connectionNames(" close , Keep-Alive,,", undefined), undefined);
  assert.deepEqual([...connectionNames("close, X-A", undefined)!], ["x-a"]);
  assert.deepEqual([...connectionNames("x-b", new Set(["x-a"]))!], ["x-a", "x-b"]);
});
