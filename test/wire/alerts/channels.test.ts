/** Messages to real receivers, good and bad ones: what each is sent, what is refused, and what nobody ever reads of it. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHmac } from "node:crypto";
import { hostname } from "node:os";
import { type TestContext, test } from "node:test";
import { startControlPlane, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, ROUTES, until } from "../../support/gateway.ts";
import { mailSink, type Receiver, type ReceivedRequest, receiver } from "../../support/receivers.ts";

/** Any of these anywhere but at its receiver is a leak. */
const CANARY = "cAnArY0123456789";
const FILES = {
  "fleet.yaml": fleetYaml({ hz: ["http://127.0.0.1:1"] }),
  "routes.yaml": ROUTES,
};

function plane(t: TestContext, alerts: string, hosts: readonly string[]): Promise<TestControlPlane> {
  return startControlPlane(t, { ...FILES, "alerts.yaml": alerts }, [
    "--dev",
    ...hosts.flatMap((host) => ["--hook-host", host]),
  ]);
}

/** As an Alertmanager would. */
async function fire(
  cp: TestControlPlane,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<void> {
  const alert = {
    status: "firing",
    labels: { alertname: name, severity: "critical", ...labels },
    annotations: { summary: `${name} @all` },
  };
  const { status } = await cp.call("POST", "/v1/alertmanager", {
    version: "4",
    status: "firing",
    alerts: [alert],
  });
  assert.equal(status, 200);
}

const at =
  (path: string) =>
  (request: ReceivedRequest): boolean =>
    request.url.startsWith(path);
const host = ({ port }: Pick<Receiver, "port">): string => `127.0.0.1:${port}`;

test("every kind of channel is sent its own form, and no secret is anywhere but there", async (t) => {
  const [to, mail] = [await receiver(t), await mailSink(t)];
  to.answer = ({ url }, response) => response.end(url.startsWith("/slack") ? "ok" : '{"errcode":0,"code":0}');
  for (const [name, value] of Object.entries({
    SLACK: `${to.url}/slack/${CANARY}`,
    DING: `${to.url}/ding?access_token=${CANARY}`,
    FEISHU: `${to.url}/feishu/${CANARY}`,
    WECOM: `${to.url}/wecom?key=${CANARY}`,
    TOKEN: `token-${CANARY}`,
    SECRET: `secret-${CANARY}`,
  })) {
    process.env[`TIDEGATE_ALERT_${name}`] = value;
    t.after(() => delete process.env[`TIDEGATE_ALERT_${name}`]);
  }
  const cp = await plane(
    t,
    `
channels:
  hook: { kind: webhook, url: "${to.url}/hook", secret-from: TIDEGATE_ALERT_SECRET }
  slack: { kind: slack, url-from: TIDEGATE_ALERT_SLACK }
  ding: { kind: dingtalk, url-from: TIDEGATE_ALERT_DING, secret-from: TIDEGATE_ALERT_SECRET }
  feishu: { kind: feishu, url-from: TIDEGATE_ALERT_FEISHU, secret-from: TIDEGATE_ALERT_SECRET }
  wecom: { kind: wecom, url-from: TIDEGATE_ALERT_WECOM }
  am: { kind: alertmanager, url: "${to.url}", token-from: TIDEGATE_ALERT_TOKEN }
  mail: { kind: email, smtp: "smtp://127.0.0.1:${mail.port}", from: t@example.com, to: [a@example.com, b@example.com] }
  sms: { kind: provider, url: "${to.url}/sms", token-from: TIDEGATE_ALERT_TOKEN, to: ["+86138"], body: '{"n": "\${to}", "t": "\${text}"}' }
notify: [ { to: [hook, slack, ding, feishu, wecom, am, mail, sms] } ]
`,
    [host(to), `127.0.0.1:${mail.port}`],
  );
  await fire(cp, "HighLatency", { instance: "<!channel> *b*" });
  const [hook, slack, ding, feishu, wecom, am, sms] = await Promise.all(
    ["/hook", "/slack/", "/ding", "/feishu/", "/wecom", "/api/v2/alerts", "/sms"].map((path) =>
      to.next(path, at(path)),
    ),
  );
  const letter = await until("the letter", () => mail.letters[0]);

  const text = "critical alertmanager/HighLatency {instance=＜!channel＞ *b*}: HighLatency ＠all";
  assert.equal(hook!.json.firing[0].rule, "alertmanager/HighLatency");
  assert.ok(slack!.json.blocks[0].text.text.includes(text), slack!.json.text);
  assert.equal(slack!.json.blocks[0].text.type, "plain_text");
  assert.ok(ding!.json.text.content.includes(text));
  const query = new URL(ding!.url, to.url).searchParams;
  const key = `secret-${CANARY}`;
  assert.equal(
    query.get("sign"),
    createHmac("sha256", key)
      .update(`${query.get("timestamp")}\n${key}`)
      .digest("base64"),
  );
  assert.equal(query.get("access_token"), CANARY);
  assert.equal(feishu!.json.msg_type, "text");
  assert.ok(feishu!.json.sign.length > 40);
  assert.ok(wecom!.json.text.content.includes(text));
  assert.equal(am!.json[0].labels.alertname, "alertmanager/HighLatency");
  assert.equal(am!.headers.authorization, `Bearer token-${CANARY}`);
  assert.equal(sms!.json.n, "+86138");
  assert.ok(sms!.json.t.includes(text));
  assert.deepEqual(
    letter!.to.map((one) => one.replace(/[<>]/g, "").split(" ")[0]),
    ["a@example.com", "b@example.com"],
  );
  assert.match(letter!.text, /^Message-ID:\s+<am-[^@]+~mail@/m);

  const wrong = to.requests.length;
  for (const name of ["hook", "slack", "mail"]) {
    const { body } = await cp.call("POST", `/v1/channels/${name}/test`, { reason: "a look" });
    assert.equal(body.ok, true, JSON.stringify(body));
  }
  assert.equal(to.requests.length, wrong + 2);
  for (const path of ["/v1/alerts", "/v1/notifications", "/v1/audit", "/v1/config", "/v1/status"]) {
    const { body } = await cp.call("GET", path);
    assert.equal(JSON.stringify(body).includes(CANARY), false, path);
  }
  assert.equal(cp.stderr.includes(CANARY), false);
});

test("who hangs, redirects, is not listed or leads inward gets nothing more, and keeps nobody waiting", async (t) => {
  const [good, hangs, away, inner, sick] = await Promise.all(Array.from({ length: 5 }, () => receiver(t)));
  hangs!.answer = () => {};
  away!.answer = (_request, response) =>
    response.writeHead(307, { location: `${inner!.url}/${CANARY}` }).end();
  sick!.answer = (_request, response) => response.writeHead(503).end("later");
  process.env.TIDEGATE_ALERT_AWAY = `${away!.url}/${CANARY}`;
  t.after(() => delete process.env.TIDEGATE_ALERT_AWAY);
  const cp = await plane(
    t,
    `
channels:
  good: { kind: webhook, url: "${good!.url}", secret-from: TIDEGATE_ALERT_AWAY }
  hangs: { kind: webhook, url: "${hangs!.url}", secret-from: TIDEGATE_ALERT_AWAY, timeout: 500ms }
  away: { kind: slack, url-from: TIDEGATE_ALERT_AWAY }
  sick: { kind: webhook, url: "${sick!.url}", secret-from: TIDEGATE_ALERT_AWAY }
  unlisted: { kind: webhook, url: "http://127.0.0.1:9/", secret-from: TIDEGATE_ALERT_AWAY }
  named: { kind: webhook, url: "http://${hostname()}:${inner!.port}/", secret-from: TIDEGATE_ALERT_AWAY }
  unset: { kind: slack, url-from: TIDEGATE_ALERT_NOT_THERE }
notify: [ { to: [hangs, away, sick, unlisted, named, unset, good] } ]
`,
    [host(good!), host(hangs!), host(away!), host(sick!), hostname()],
  );
  const began = performance.now();
  await fire(cp, "A");
  const told = await good!.next("the good one", () => true);
  assert.ok(told.at - began < 10_000);
  interface Row {
    readonly channel: string;
    readonly state: string;
    readonly attempts: number;
    readonly says?: string;
  }
  const rows = await until(
    "every channel was tried",
    async () => (await cp.call("GET", "/v1/notifications")).body.notifications as Row[],
    (all) =>
      all.length === 7 &&
      all.every(({ attempts }) => attempts > 0) &&
      all.some(({ attempts }) => attempts > 1),
  );
  const says = Object.fromEntries(
    rows.map(({ channel, state, says: why }) => [channel, `${state} ${why ?? ""}`]),
  );
  assert.equal(says.good, "sent ");
  assert.match(says.hangs!, /^waiting no answer in 500 ms/);
  assert.match(says.away!, /^dead 127\.0\.0\.1:\d+ answered 307/);
  assert.match(says.sick!, /^waiting 127\.0\.0\.1:\d+ answered 503/);
  assert.match(says.unlisted!, /^waiting 127\.0\.0\.1:9 is not a host that may be called/);
  // Where this machine has another address by its name, nobody listens there.
  assert.match(says.named!, /^waiting (.* leads to 127\.|connect )/);
  assert.match(says.unset!, /^waiting there is no TIDEGATE_ALERT_NOT_THERE/);
  assert.deepEqual(inner!.requests, [], "nothing was led inward");
  const { body } = await cp.call("GET", "/v1/notifications?state=dead");
  assert.deepEqual(
    (body.notifications as Row[]).map(({ channel }) => channel),
    ["away"],
  );
  assert.equal(JSON.stringify(rows).includes(CANARY), false);
  assert.equal(cp.stderr.includes(CANARY), false);
});

test("killed while a receiver hangs: what was told is not told again, the rest comes under the key that it had", async (t) => {
  const [good, slow] = [await receiver(t), await receiver(t)];
  slow.answer = () => {};
  process.env.TIDEGATE_ALERT_SECRET = "s";
  const cp = await plane(
    t,
    `
channels:
  good: { kind: webhook, url: "${good.url}", secret-from: TIDEGATE_ALERT_SECRET }
  slow: { kind: webhook, url: "${slow.url}", secret-from: TIDEGATE_ALERT_SECRET, timeout: 20s }
notify: [ { to: [good, slow] } ]
`,
    [host(good), host(slow)],
  );
  await fire(cp, "A");
  await good.next("the good one", () => true);
  const first = await slow.next("the slow one", () => true);
  await until(
    "it is noted",
    async () => (await cp.call("GET", "/v1/notifications?state=sent")).body.notifications.length,
    (n) => n === 1,
  );
  await cp.stop("SIGKILL");
  slow.answer = (_request, response) => response.end("{}");
  await cp.start();
  await until(
    "everything is sent",
    async () => (await cp.call("GET", "/v1/notifications?state=sent")).body.notifications.length,
    (n) => n === 2,
  );
  assert.equal(good.requests.length, 1);
  assert.deepEqual(
    slow.requests.map(({ headers }) => headers["idempotency-key"]),
    [first.headers["idempotency-key"], first.headers["idempotency-key"]],
  );
  assert.equal(slow.requests[1]!.text, first.text);
  const { body } = await cp.call("GET", "/v1/alerts");
  assert.equal(body.alerts[0].state, "firing");
});

test("the link of a message acknowledges it by a button, and by nothing else", async (t) => {
  const hook = await receiver(t);
  process.env.TIDEGATE_ALERT_SECRET = "s";
  const cp = await plane(
    t,
    `
channels: { hook: { kind: webhook, url: "${hook.url}", secret-from: TIDEGATE_ALERT_SECRET } }
notify: [ { to: [hook], escalate: [ { after: 3s, to: [hook] } ] } ]
link: https://tidegate.example.com/
`,
    [host(hook)],
  );
  await fire(cp, "A", { who: "<script>alert(1)</script>" });
  await fire(cp, "<script>alert(2)</script>");
  const told = await hook.next(
    "the message",
    ({ json }) => json.firing[0].rule === "alertmanager/<script>alert(2)</script>",
  );
  const link = new URL(told.json.links.ack);
  assert.equal(link.origin, "https://tidegate.example.com");
  const isAcked = async (): Promise<boolean[]> =>
    (await cp.call("GET", "/v1/alerts")).body.alerts
      .map(({ ack }: { ack: object | null }) => ack !== null)
      .sort();

  const page = await cp.call("GET", link.pathname);
  assert.equal(page.status, 200);
  assert.match(page.headers.get("content-security-policy")!, /form-action 'self'/);
  assert.match(page.body, /<form method="post">/);
  assert.doesNotMatch(page.body, /<script/);
  for (const path of [`${link.pathname}a`, "/ack/x", link.pathname.replace("~hook~", "~mail~")]) {
    assert.equal((await cp.call("GET", path)).status, 404, path);
    assert.equal((await cp.call("POST", path)).status, 404, path);
  }
  const foreign = await fetch(`${cp.url}${link.pathname}`, {
    method: "POST",
    headers: { origin: "https://evil.example" },
  });
  assert.equal(foreign.status, 403);
  assert.deepEqual(await isAcked(), [false, false], "nothing that only looked has acknowledged");

  const form = { "content-type": "application/x-www-form-urlencoded" };
  const done = await fetch(`${cp.url}${link.pathname}`, { method: "POST", headers: form, body: "" });
  assert.equal(done.status, 200);
  assert.match(await done.text(), /Acknowledged: 1\./);
  assert.deepEqual(await isAcked(), [false, true], "what else fires is not acknowledged by it");
  const again = await fetch(`${cp.url}${link.pathname}`, { method: "POST", headers: form, body: "" });
  assert.match(await again.text(), /nothing left/);
  const { body } = await cp.call("GET", "/v1/audit");
  assert.ok(JSON.stringify(body).includes("link of hook"));
  // The other one escalates, this one does not.
  await hook.next("the escalation", ({ json }) => json.kind === "escalation");
  const escalated = hook.requests
    .filter(({ json }) => json.kind === "escalation")
    .map(({ json }) => json.group);
  assert.equal(escalated.includes(told.json.group), false);
});

test("by the command line: list, silence, acknowledge, test a channel, and the log", async (t) => {
  const hook = await receiver(t);
  process.env.TIDEGATE_ALERT_SECRET = "s";
  const cp = await plane(
    t,
    `
channels: { hook: { kind: webhook, url: "${hook.url}", secret-from: TIDEGATE_ALERT_SECRET } }
notify: [ { to: [hook], group-by: [instance] } ]
`,
    [host(hook)],
  );
  const tidegate = (...args: string[]): Promise<{ code: number; out: string }> =>
    new Promise((resolve) => {
      const cli = new URL("../../../cli/tidegate.mjs", import.meta.url).pathname;
      const all = [cli, "alert", ...args, "--control-plane", cp.url];
      execFile(process.execPath, all, { timeout: 20_000 }, (error, out, err) =>
        resolve({ code: error === null ? 0 : Number(error.code), out: `${out}${err}` }),
      );
    });
  assert.match((await tidegate("list")).out, /no rules/);
  const silence = await tidegate("silence", "instance=i-1", "--for", "1h", "--reason", "it is moved");
  assert.equal(silence.code, 0, silence.out);
  const id = /si-[0-9a-f]{12}/.exec(silence.out)![0];
  assert.match((await tidegate("list", "--silences")).out, new RegExp(`${id}.*instance=i-1`, "s"));
  await fire(cp, "A", { instance: "i-1" });
  await fire(cp, "A", { instance: "i-2" });
  await hook.next("the one that is not silenced", ({ json }) => json.firing[0].labels.instance === "i-2");
  const listed = await tidegate("list");
  assert.match(listed.out, new RegExp(`silenced by ${id}`));
  const { body } = await cp.call("GET", "/v1/alerts");
  const loud = body.alerts.find((one: { labels: { instance: string } }) => one.labels.instance === "i-2");
  assert.match((await tidegate("ack", loud.id, "--reason", "on it")).out, /is looked after by dev/);
  assert.equal(
    hook.requests.some(({ json }) => json.firing[0].labels.instance === "i-1"),
    false,
  );
  assert.equal((await tidegate("unsilence", id, "--reason", "moved")).code, 0);
  await hook.next("what was silenced", ({ json }) => json.firing[0].labels.instance === "i-1");
  assert.match((await tidegate("test", "hook")).out, /hook took it in \d+ ms/);
  assert.match((await tidegate("log")).out, /hook.*sent/);
  const unknown = await tidegate("test", "nobody");
  assert.deepEqual([unknown.code, /there is no channel nobody; there is hook/.test(unknown.out)], [1, true]);
  const wrong = await tidegate("silence", "instance", "--for", "1h", "--reason", "x");
  assert.deepEqual([wrong.code, /instance is no label/.test(wrong.out)], [1, true]);
  const long = await tidegate("silence", "a=b", "--for", "32d", "--reason", "x");
  assert.match(long.out, /expected 1s to 31d/);
});
