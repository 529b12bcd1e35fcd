/** What channels are sent: whole, signed as their receivers want it, and without anything that a text could smuggle in. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { FORMS, refusedBy, textOf } from "../../../control-plane/alerts/forms.ts";
import type { Channel } from "../../../model/alerts/alerts.ts";
import type { Message, ToldAlert } from "../../../model/alerts/message.ts";
import { oneLine } from "../../../model/alerts/template.ts";

const NOW = 1_800_000_000_123;
const EVIL = oneLine(
  'up\r\nSubject: x\u2028@all @channel <!channel> <at user_id="all">all</at> <https://evil|click> *b* `c` "}],"x":[{" \u202egnp.exe\u0000',
);
const LINKS = { alerts: "https://t.example.com/#/alerts", ack: "https://t.example.com/ack/TOKEN" };

function told(changes: Partial<ToldAlert> = {}): ToldAlert {
  return {
    id: "al-1",
    rule: "down",
    severity: "critical",
    labels: { unit: "sh" },
    summary: EVIL,
    seen: "",
    firedAt: NOW,
    ...changes,
  };
}

function message(firing: readonly ToldAlert[], resolved: readonly ToldAlert[] = []): Message {
  const counts = { firing: firing.length, resolved: resolved.length, active: firing.length };
  return { id: "am-1", kind: "news", group: "ag-1", labels: {}, at: NOW, firing, resolved, counts };
}

function channel(kind: Channel["kind"], changes: Partial<Channel> = {}): Channel {
  const none = {
    url: undefined,
    urlFrom: undefined,
    secretFrom: undefined,
    tokenFrom: undefined,
    from: undefined,
  };
  return {
    name: "c",
    kind,
    ...none,
    to: ["+1", "+2"],
    smtp: undefined,
    user: undefined,
    passwordFrom: undefined,
    body: undefined,
    line: undefined,
    timeout: 1_000,
    ...changes,
  };
}

test("nothing that a text holds is a mention, a mark-up, a line or a direction of its own", () => {
  const text = textOf(message([told()]), { line: undefined }, { alerts: undefined, ack: undefined });
  assert.equal(text.split("\n").length, 2, "a title and one alert");
  assert.doesNotMatch(text, /[@<>\r\u0000\u2028\u202e]/);
  for (const kind of ["slack", "dingtalk", "feishu", "wecom", "provider"] as const) {
    const body = `{"a": "\${text}", "b": {"c": ["\${title}"]}}`;
    const formed = FORMS[kind](message([told()]), channel(kind, { body }), LINKS, undefined, NOW);
    const parsed = JSON.parse(formed.body) as object;
    assert.doesNotMatch(formed.body, /@all|@channel|<!|<at/, kind);
    assert.equal(Object.hasOwn(parsed, "x"), false);
    if (kind === "provider") assert.deepEqual(Object.keys(parsed), ["a", "b"]);
  }
});

test("a channel's own line is filled with what is known, and is one line", () => {
  const line = `\${severity}/\${rule}/\${unit}: \${summary} \${unknown}`;
  const text = textOf(
    message([told({ summary: "two\nlines" })]),
    { line },
    { alerts: undefined, ack: undefined },
  );
  assert.equal(text.split("\n")[1], `critical/down/sh: two lines \${unknown}`);
});

test("a thousand alerts are a text that fits", () => {
  const many = Array.from({ length: 500 }, (_, i) => told({ id: `al-${i}`, summary: "x".repeat(300) }));
  const text = textOf(
    { ...message(many), counts: { firing: 1_000, resolved: 0, active: 1_000 } },
    { line: undefined },
    LINKS,
  );
  assert.ok(text.length < 3_700, `${text.length}`);
  assert.ok(text.endsWith(`acknowledge: ${LINKS.ack}\n${LINKS.alerts}`));
});

test("DingTalk and Feishu are signed as they want it, and nobody is mentioned", () => {
  const ding = FORMS.dingtalk(message([told()]), channel("dingtalk"), LINKS, "SEC1", NOW);
  const expected = createHmac("sha256", "SEC1").update(`${NOW}\nSEC1`).digest("base64");
  assert.deepEqual(ding.query, { timestamp: `${NOW}`, sign: expected });
  assert.deepEqual((JSON.parse(ding.body) as { at: object }).at, { isAtAll: false, atMobiles: [] });
  const feishu = JSON.parse(
    FORMS.feishu(message([told()]), channel("feishu"), LINKS, "SEC2", NOW).body,
  ) as Record<string, unknown>;
  assert.equal(feishu.timestamp, "1800000000");
  assert.equal(feishu.sign, createHmac("sha256", "1800000000\nSEC2").update("").digest("base64"));
});

test("an Alertmanager gets labels it takes, and an end for what ended", () => {
  const resolved = told({ rule: "up", labels: { "team-name": "a" }, resolvedAt: NOW + 5 });
  const [first, second] = JSON.parse(
    FORMS.alertmanager(message([told()], [resolved]), channel("alertmanager"), LINKS, undefined, NOW).body,
  ) as {
    labels: Record<string, string>;
    startsAt: string;
    endsAt: string;
  }[];
  assert.deepEqual(first!.labels, {
    unit: "sh",
    rule: "down",
    severity: "critical",
    alertname: "down",
    source: "tidegate",
  });
  assert.ok(Date.parse(first!.endsAt) > NOW);
  assert.equal(second!.labels.team_name, "a");
  assert.equal(Date.parse(second!.endsAt), NOW + 5);
});

test("a 200 that says no is no yes", () => {
  assert.equal(refusedBy("dingtalk", '{"errcode":0,"errmsg":"ok"}'), undefined);
  assert.match(
    refusedBy("dingtalk", '{"errcode":310000,"errmsg":"sign not match"}')!,
    /310000: sign not match/,
  );
  assert.equal(refusedBy("feishu", '{"StatusCode":0}'), undefined);
  assert.match(refusedBy("feishu", '{"code":19021,"msg":"sign match fail"}')!, /19021/);
  assert.match(refusedBy("wecom", "<html>")!, /no JSON/);
  assert.equal(refusedBy("slack", "ok"), undefined);
});
