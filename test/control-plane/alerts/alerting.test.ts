/** Alerts as the leader drives them: durable, told once, to everybody who can be reached. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { receive, type ReceivedAlert } from "../../../control-plane/alerts/receiver.ts";
import * as command from "../../../control-plane/runbook/commands.ts";
import { EXECUTION, type Execution } from "../../../control-plane/runbook/execution.ts";
import { AlertedFleet } from "../../support/alerting.ts";

const CHANNELS = `
channels:
  chat: { kind: slack, url-from: TIDEGATE_ALERT_CHAT }
  mail: { kind: slack, url-from: TIDEGATE_ALERT_MAIL }
`;
const DOWN = `
rules:
  down: { is: unit-unhealthy, for: 2s, keep-firing: 3s, severity: critical, summary: "unit \${unit} is dead" }
${CHANNELS}
notify: [ { to: [chat, mail], group-by: [rule, unit] } ]
`;
const keysOf = (fleet: AlertedFleet): string[] => fleet.sent.map(({ key }) => key);

function deliveries(fleet: AlertedFleet): string[] {
  const all = [...fleet.alerting.book.table("alert-delivery").values()];
  return all.map(({ channel, state, attempts }) => `${channel} ${state} ${attempts}`).sort();
}

function stateOf(fleet: AlertedFleet, rule: string): string | undefined {
  return [...fleet.alerting.book.table("alert").values()].find((one) => one.rule === rule)?.phase.state;
}

test("what holds is told once to each channel, and so is its end", async () => {
  const fleet = new AlertedFleet(DOWN);
  await fleet.boot();
  await fleet.pass(3);
  fleet.unhealthy.add("sh");
  await fleet.pass(10);
  assert.deepEqual(
    fleet.sent.map(({ channel, message, at }) => [
      channel,
      message.firing.map((one) => one.summary).join(),
      at,
    ]),
    [
      ["chat", "unit sh is dead", 7],
      ["mail", "unit sh is dead", 7],
    ],
  );
  fleet.unhealthy.clear();
  await fleet.pass(10);
  assert.deepEqual(
    fleet.sent
      .slice(2)
      .map(({ channel, message }) => [channel, message.firing.length, message.resolved.length]),
    [
      ["chat", 0, 1],
      ["mail", 0, 1],
    ],
  );
  assert.deepEqual(deliveries(fleet), ["chat sent 1", "chat sent 1", "mail sent 1", "mail sent 1"]);
  const events = await fleet.runbook.disk.events(0, 100);
  const states = events.flatMap(({ type, body }) =>
    type === "alert" ? (JSON.parse(body) as { state: string }).state : [],
  );
  assert.deepEqual(states, ["firing", "resolved"]);
});

test("killed before and after every commit: everything is told, and what is sent twice carries the key that it had", async () => {
  const whole = new AlertedFleet(DOWN);
  await whole.boot();
  whole.unhealthy.add("sh");
  await whole.pass(8);
  const commits = whole.runbook.commits;
  assert.ok(commits >= 4, `${commits} commits`);
  for (let commit = 2; commit <= commits; commit++) {
    for (const when of ["before", "after"] as const) {
      const fleet = new AlertedFleet(DOWN);
      await fleet.boot({ commit, when });
      fleet.unhealthy.add("sh");
      const lived = await fleet.pass(8);
      assert.equal(lived, false, `killed ${when} commit ${commit}`);
      await fleet.boot();
      await fleet.pass(12);
      const told = new Set(keysOf(fleet));
      assert.equal(told.size, 2, `${when} commit ${commit}: ${keysOf(fleet).join(" ")}`);
      assert.ok(
        deliveries(fleet).every((one) => one.includes(" sent ")),
        deliveries(fleet).join(),
      );
      assert.equal(stateOf(fleet, "down"), "firing");
    }
  }
});

test("what has to hold for long is not begun anew by a restart", async () => {
  const fleet = new AlertedFleet(DOWN.replace("for: 2s", "for: 30s"));
  await fleet.boot();
  fleet.unhealthy.add("sh");
  await fleet.pass(20);
  assert.equal(stateOf(fleet, "down"), "pending");
  await fleet.boot();
  await fleet.pass(14);
  assert.equal(stateOf(fleet, "down"), "firing");
  assert.equal(keysOf(fleet).length, 2);
});

test("a firing alert whose unit got well while nobody looked ends, and that is told", async () => {
  const fleet = new AlertedFleet(DOWN);
  await fleet.boot();
  fleet.unhealthy.add("sh");
  await fleet.pass(6);
  fleet.unhealthy.clear();
  fleet.runbook.wall += 3_600_000;
  await fleet.boot();
  await fleet.pass(10);
  assert.equal(stateOf(fleet, "down"), "resolved");
  assert.equal(fleet.sent.at(-1)?.message.resolved.length, 1);
});

test("the wall clock set an hour ahead fires nothing and ends no silence", async () => {
  const fleet = new AlertedFleet(DOWN.replace("for: 2s", "for: 10m"));
  await fleet.boot();
  fleet.unhealthy.add("sh");
  await fleet.pass(5);
  fleet.runbook.wall += 3_600_000;
  await fleet.pass(30);
  assert.equal(stateOf(fleet, "down"), "pending");
});

test("a channel that fails is tried again under the same key; the other does not wait for it", async () => {
  const fleet = new AlertedFleet(DOWN);
  await fleet.boot();
  let failures = 3;
  fleet.answer = async (channel) =>
    channel === "chat" && failures-- > 0 ? { ok: false, reason: "answered 503", final: false } : { ok: true };
  fleet.unhealthy.add("sh");
  await fleet.pass(20);
  const chat = fleet.sent.filter(({ channel }) => channel === "chat");
  assert.equal(chat.length, 4);
  assert.equal(new Set(chat.map(({ key }) => key)).size, 1);
  const pauses = chat.slice(1).map(({ at }, i) => at - chat[i]!.at);
  assert.ok(pauses[0]! < pauses[2]!, `it waits longer each time: ${pauses.join()}`);
  assert.deepEqual(deliveries(fleet), ["chat sent 4", "mail sent 1"]);
});

test("what is refused for good is a dead letter at once; what is never taken becomes one", async () => {
  const fleet = new AlertedFleet(DOWN);
  await fleet.boot();
  fleet.answer = async (channel) => ({ ok: false, reason: "no", final: channel === "chat" });
  fleet.unhealthy.add("sh");
  await fleet.pass(10);
  assert.ok(deliveries(fleet).includes("chat dead 1"));
  await fleet.pass(3_700);
  const mail = deliveries(fleet).filter((one) => one.startsWith("mail dead"));
  assert.equal(mail.length, 1);
  assert.ok(fleet.sent.length < 110, "it is not tried for ever");
  const events = await fleet.runbook.disk.events(0, 1_000);
  assert.equal(events.filter(({ type }) => type === "notification").length, 2);
});

test("a channel that hangs holds up nobody, and what waits for it is bounded", async () => {
  const fleet = new AlertedFleet(`
rules: { down: { is: unit-unhealthy, keep-firing: 0s } }
${CHANNELS}
notify: [ { to: [chat, mail], interval: 1s, wait: 0s, group-by: [] } ]
`);
  await fleet.boot();
  fleet.answer = (channel) => (channel === "chat" ? new Promise(() => {}) : Promise.resolve({ ok: true }));
  const { book } = fleet.alerting;
  for (let i = 0; i < 130; i++) {
    await book.change((changes) => {
      const labels = { alertname: `a-${i}` };
      receive(changes, book, [{ status: "firing", labels, annotations: {} }], fleet.alerting.now());
    });
    await fleet.pass(61);
  }
  const waiting = [...book.table("alert-delivery").values()].filter(({ state }) => state === "waiting");
  assert.ok(waiting.length <= 101, `${waiting.length} wait`);
  assert.ok(waiting.length >= 99);
  const dead = deliveries(fleet).filter((one) => one.startsWith("chat dead"));
  assert.ok(dead.length >= 28, `${dead.length} dead`);
  assert.ok(fleet.sent.filter(({ channel }) => channel === "mail").length >= 130);
});

test("nobody knows: what fires goes on, what does not is not begun, and a rule may say otherwise", async () => {
  const fleet = new AlertedFleet(`
rules:
  down: { is: unit-unhealthy, keep-firing: 0s }
  blind: { when: serving < 2, on-no-data: fire, keep-firing: 0s, for: 2s }
  errors: { when: "errors > 5%", keep-firing: 0s }
`);
  await fleet.boot();
  fleet.unhealthy.add("sh");
  await fleet.pass(3);
  assert.deepEqual([stateOf(fleet, "down"), stateOf(fleet, "blind")], ["firing", undefined]);
  fleet.speaks = false;
  fleet.unhealthy.clear();
  await fleet.pass(12);
  assert.deepEqual(
    [stateOf(fleet, "down"), stateOf(fleet, "blind"), stateOf(fleet, "errors")],
    ["firing", "firing", undefined],
  );
  assert.ok([...fleet.alerting.seen.values()].some(({ holds }) => holds === undefined));
  fleet.speaks = true;
  await fleet.pass(3);
  assert.deepEqual([stateOf(fleet, "down"), stateOf(fleet, "blind")], ["resolved", "resolved"]);
});

test("a burn rate fires on what the history holds, and who leads next still knows it", async () => {
  const fleet = new AlertedFleet(
    "rules: { budget: { burn: { objective: 99% }, each: unit, keep-firing: 0s } }\n",
  );
  await fleet.boot();
  fleet.counts = { hz: [100, 0], sh: [100, 5] };
  await fleet.pass(400);
  assert.equal(stateOf(fleet, "budget"), undefined, "5 × is slower than both pairs");
  fleet.counts = { hz: [100, 0], sh: [100, 60] };
  await fleet.pass(120);
  const [alert] = [...fleet.alerting.book.table("alert").values()];
  assert.deepEqual([alert!.labels, alert!.phase.state], [{ unit: "sh" }, "firing"]);
  await fleet.pass(600);
  await fleet.boot();
  // Nothing is asked any more: only what was stored says that six hours were bad.
  fleet.counts = { hz: [100, 0], sh: [1, 1] };
  await fleet.pass(20);
  assert.equal(stateOf(fleet, "budget"), "firing");
  assert.ok(fleet.alerting.book.table("alert-figures").size >= 2);
});

test("a thousand alerts of another system are a few messages", async () => {
  const fleet = new AlertedFleet(
    `${CHANNELS}\nnotify: [ { to: [chat], group-by: [severity] } ]\nrules: {}\n`,
  );
  await fleet.boot();
  const { book } = fleet.alerting;
  const alerts: ReceivedAlert[] = Array.from({ length: 1_000 }, (_, i) => ({
    status: "firing",
    labels: { alertname: "HighLatency", instance: `i-${i}`, severity: i < 100 ? "critical" : "warning" },
  }));
  const taken = await book.change((changes) => receive(changes, book, alerts, fleet.alerting.now()));
  assert.deepEqual(taken, { taken: 1_000, own: 0, left: 0 });
  await fleet.pass(10);
  assert.equal(fleet.sent.length, 2);
  assert.deepEqual(fleet.sent.map(({ message }) => message.counts.firing).sort(), [100, 900]);
  const events = await fleet.runbook.disk.events(0, 5_000);
  assert.ok(events.length < 100, `${events.length} events`);
});

test("another system's alert ends when it says so, or when it is not heard of any more; our own do not come back", async () => {
  const fleet = new AlertedFleet(`${CHANNELS}\nnotify: [ { to: [chat], group-by: [rule] } ]\nrules: {}\n`);
  await fleet.boot();
  const { book } = fleet.alerting;
  const say = (status: "firing" | "resolved", labels: Record<string, string>): Promise<object> =>
    book.change((changes) => receive(changes, book, [{ status, labels }], fleet.alerting.now()));
  await say("firing", { alertname: "a", severity: "page", __proto__: "x", "bad name": "x" });
  assert.deepEqual(await say("firing", { alertname: "down", source: "tidegate" }), {
    taken: 0,
    own: 1,
    left: 0,
  });
  await say("firing", { alertname: "b" });
  await fleet.pass(5);
  assert.equal(fleet.sent.length, 2);
  const [known] = [...book.table("alert").values()];
  assert.deepEqual([known!.rule, known!.severity, known!.labels], ["alertmanager/a", "critical", {}]);
  await say("resolved", { alertname: "a", severity: "page" });
  await fleet.pass(10);
  assert.equal(fleet.sent.at(-1)!.message.resolved[0]!.rule, "alertmanager/a");
  assert.equal(stateOf(fleet, "alertmanager/b"), "firing");
  fleet.runbook.monotonic += 5 * 3_600_000;
  fleet.runbook.wall += 5 * 3_600_000;
  await fleet.pass(3);
  assert.equal(stateOf(fleet, "alertmanager/b"), "resolved");
});

const RUNS = `
rules:
  down:
    is: unit-unhealthy
    keep-firing: 0s
    plan: { name: leave, values: { unit: "\${unit}" } }
    run: true
${CHANNELS}
notify: [ { to: [chat], group-by: [rule] } ]
`;
const LEAVE = {
  leave: `parameters: { unit: { type: unit } }\nrequire: [ "healthy{unit=\${unit}} == 0" ]\nsteps: [ { drain: "\${unit}", ramp: 0s } ]\n`,
};

async function executions(fleet: AlertedFleet): Promise<Execution[]> {
  const all = await fleet.runbook.disk.documents(EXECUTION, undefined, 100);
  return all.map(({ body }) => JSON.parse(body) as Execution);
}

test("an alert runs its plan by itself, once, in its own name, and says so", async () => {
  const fleet = new AlertedFleet(RUNS, LEAVE);
  await fleet.boot();
  await fleet.pass(2);
  assert.deepEqual(await executions(fleet), []);
  fleet.unhealthy.add("sh");
  await fleet.pass(5);
  const [only, ...more] = await executions(fleet);
  assert.deepEqual(
    [only!.plan.name, only!.values, only!.owner.name, more.length],
    ["leave", { unit: "sh" }, "alert:down", 0],
  );
  const [told] = fleet.sent[0]!.message.firing;
  assert.deepEqual([told!.run?.state, told!.run?.execution], ["started", only!.id]);
  // It ends and fires again: the same is not run again and again.
  fleet.unhealthy.clear();
  await fleet.pass(8);
  fleet.unhealthy.add("sh");
  await fleet.pass(8);
  assert.equal((await executions(fleet)).length, 1);
  const alert = [...fleet.alerting.book.table("alert").values()][0]!;
  assert.deepEqual(
    [alert.run?.state, alert.run?.says],
    ["refused", `${only!.id} was run for it minutes ago`],
  );
});

test("a plan that waits for somebody is told of, and so is that it goes on", async () => {
  const written = `rules: { held: { is: execution-held, keep-firing: 1s } }\n${CHANNELS}notify: [ { to: [chat] } ]\n`;
  const fleet = new AlertedFleet(written, {
    calls: "steps: [ { hook: http://127.0.0.1:1/, retries: 0 } ]\n",
  });
  await fleet.boot();
  fleet.runbook.answer = async () => ({ ok: false, reason: "it says no" });
  const { id } = await fleet.runbook.start("calls");
  await fleet.pass(8);
  const [told] = fleet.sent[0]!.message.firing;
  assert.deepEqual([told!.labels.plan, told!.labels.execution], ["calls", id]);
  assert.match(told!.summary, /plan calls \(ex-1\) waits for somebody: .*it says no/);
  await fleet.runbook.command(id, (one) => command.revert(one, "ann"));
  await fleet.pass(8);
  assert.equal(fleet.sent.at(-1)!.message.resolved.length, 1);
});

test("killed before and after every commit: the plan is run once", async () => {
  for (let commit = 2; commit <= 6; commit++) {
    for (const when of ["before", "after"] as const) {
      const fleet = new AlertedFleet(RUNS, LEAVE);
      await fleet.boot({ commit, when });
      fleet.unhealthy.add("sh");
      await fleet.pass(6);
      await fleet.boot();
      await fleet.pass(6);
      const all = await executions(fleet);
      assert.equal(all.length, 1, `${when} commit ${commit}: ${all.length} executions`);
    }
  }
});

test("a plan is not run where a safety rule, a precondition or somebody says no, and the message says why", async () => {
  const refusals: readonly (readonly [string, (fleet: AlertedFleet) => void, RegExp])[] = [
    [
      "a safety rule",
      (fleet) => (fleet.violations = [{ rule: "two-serving", message: "1 unit would serve" }]),
      /two-serving: 1 unit would serve/,
    ],
    ["a precondition", (fleet) => fleet.boot, /requires what does not hold/],
    [
      "a silence",
      (fleet) => {
        const silence = {
          id: "si-1",
          match: { unit: ["sh"] },
          from: 0,
          until: 9e15,
          reason: "",
          by: "ann",
          at: 0,
        };
        fleet.alerting.book.table("silence").set("si-1", silence);
      },
      /the alert is silenced/,
    ],
  ];
  for (const [name, arrange, expected] of refusals) {
    const plans = name === "a precondition" ? { leave: LEAVE.leave.replace("== 0", "== 1") } : LEAVE;
    const fleet = new AlertedFleet(RUNS, plans);
    await fleet.boot();
    await fleet.pass(2);
    arrange(fleet);
    fleet.unhealthy.add("sh");
    await fleet.pass(5);
    assert.deepEqual(await executions(fleet), [], name);
    const [alert] = [...fleet.alerting.book.table("alert").values()];
    assert.equal(alert!.run?.state, "refused", name);
    assert.match(alert!.run!.says!, expected);
    if (name !== "a silence") assert.match(fleet.sent[0]!.message.firing[0]!.run!.says!, expected);
  }
});

test("a rule that is taken out of the file ends its alerts", async () => {
  const fleet = new AlertedFleet(DOWN);
  await fleet.boot();
  fleet.unhealthy.add("sh");
  await fleet.pass(6);
  assert.equal(stateOf(fleet, "down"), "firing");
  const { base } = fleet.runbook.standing;
  const next = new Map([
    ...base,
    ["alerts.yaml", `rules: {}\n${CHANNELS}\nnotify: [ { to: [chat, mail], group-by: [rule, unit] } ]\n`],
  ]);
  await fleet.runbook.desk.apply(next, undefined, "quiet", { name: "ann", from: "", overrides: [] });
  await fleet.pass(8);
  assert.equal(stateOf(fleet, "down"), "resolved");
  assert.equal(fleet.sent.at(-1)!.message.resolved.length, 1);
});
