/** Groups, silences, inhibition, escalation: by a clock that is moved by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Alert, alertId } from "../../../model/alerts/alert.ts";
import type { AlertRule, NotifyRoute } from "../../../model/alerts/alerts.ts";
import { begun, type Group, groupsOf, turn } from "../../../model/alerts/grouping.ts";
import { inhibitions, silenceOf } from "../../../model/alerts/matching.ts";
import { linesOf, type Message, titleOf } from "../../../model/alerts/message.ts";

const ROUTE: NotifyRoute = {
  match: {},
  to: ["chat"],
  groupBy: ["rule"],
  wait: 1_000,
  interval: 5_000,
  repeat: 3_600_000,
  escalate: [
    { after: 60_000, to: ["phone"] },
    { after: 120_000, to: ["boss"] },
  ],
};

function alert(
  rule: string,
  labels: Record<string, string>,
  firedAt: number,
  changes: Partial<Alert> = {},
): Alert {
  const phase = { state: "firing", since: firedAt, firedAt } as const;
  const id = alertId(rule, labels);
  return {
    id,
    rule,
    labels,
    severity: "critical",
    source: "rule",
    phase,
    summary: `${rule} is bad`,
    seen: "",
    ...changes,
  };
}

function ended(before: Alert, resolvedAt: number): Alert {
  const { since, firedAt } = before.phase as { since: number; firedAt: number };
  return { ...before, phase: { state: "resolved", since, firedAt, resolvedAt } };
}

/** One look every second over what `at` says there is. */
function watch(
  seconds: number,
  at: (second: number) => readonly Alert[],
  muted: (second: number) => boolean = () => false,
  route = ROUTE,
): { messages: (Message & { to: readonly string[] })[]; group: Group | undefined } {
  let group: Group | undefined = begun("ag-1", { rule: "down" });
  const messages: (Message & { to: readonly string[] })[] = [];
  for (let second = 0; second < seconds; second++) {
    const members = at(second).map((one) => ({ alert: one, muted: muted(second) }));
    const next = turn(group ?? begun("ag-1", { rule: "down" }), members, route, second * 1_000);
    group = next.group;
    if (next.message !== undefined) messages.push({ ...next.message, to: next.to });
  }
  return { messages, group };
}
const timesOf = (messages: readonly Message[]): string[] =>
  messages.map(
    ({ kind, at, firing, resolved }) => `${at / 1000} ${kind} +${firing.length} -${resolved.length}`,
  );

test("what begins together is one message, and its end another", () => {
  const all = Array.from({ length: 1_000 }, (_, i) =>
    alert("down", { unit: `u-${i}` }, i < 500 ? 2_000 : 2_500),
  );
  const { messages, group } = watch(40, (second) =>
    second < 2 ? [] : second < 20 ? all : all.map((one) => ended(one, 20_000)),
  );
  assert.deepEqual(timesOf(messages), ["3 news +500 -0", "20 news +0 -500"]);
  assert.deepEqual(messages[0]!.counts, { firing: 1000, resolved: 0, active: 1000 });
  assert.equal(titleOf(messages[0]!), "1000 firing, critical: down");
  const lines = linesOf(messages[0]!, undefined);
  assert.equal(lines.length, 21);
  assert.equal(lines.at(-1), "and 980 more");
  assert.notEqual(group, undefined, "it is remembered for a while");
});

test("what joins later waits for the interval; who fires on is counted", () => {
  const [a, b] = [alert("down", { unit: "a" }, 0), alert("down", { unit: "b" }, 3_000)];
  const { messages } = watch(20, (second) => (second < 3 ? [a] : [a, b]));
  assert.deepEqual(timesOf(messages), ["1 news +1 -0", "6 news +1 -0"]);
  assert.equal(linesOf(messages[1]!, undefined).at(-1), "1 more of them fire on");
});

test("what flaps all the time is told at most once a minute after its fifth message", () => {
  const on = (second: number): Alert => alert("down", { unit: "a" }, second * 1_000);
  const { messages } = watch(300, (second) => {
    const firedAt = Math.floor(second / 4) * 4;
    return second % 4 < 2 ? [on(firedAt)] : [ended(on(firedAt), (firedAt + 2) * 1_000)];
  });
  assert.ok(messages.length <= 5 + 5, `${messages.length} messages`);
  const late = messages.slice(5).map(({ at }) => at);
  for (const [i, at] of late.entries()) if (i > 0) assert.ok(at - late[i - 1]! >= 60_000);
});

test("it escalates while nobody acknowledges, and is repeated", () => {
  const one = alert("down", { unit: "a" }, 0);
  const { messages } = watch(3_800, () => [one]);
  assert.deepEqual(
    messages.map(({ kind, at, to }) => `${at / 1000} ${kind} ${to.join()}`),
    ["1 news chat", "61 escalation phone", "121 escalation boss", "3721 reminder chat"],
  );
});

test("who acknowledged is not told again; another alert of the group is", () => {
  const one = alert("down", { unit: "a" }, 0);
  const acked = { ...one, ack: { by: "ann", at: 30_000, reason: "on it" } };
  const other = alert("down", { unit: "b" }, 200_000);
  const { messages } = watch(400, (second) =>
    second < 30 ? [one] : second < 200 ? [acked] : [acked, other],
  );
  assert.deepEqual(
    messages.map(
      ({ kind, at, to, firing }) =>
        `${at / 1000} ${kind} ${to.join()} ${firing.map((f) => f.labels.unit).join()}`,
    ),
    ["1 news chat a", "201 news chat b", "261 escalation phone b", "321 escalation boss b"],
  );
});

test("a silence is quiet both ways: nothing begins in it, and what was told before ends aloud", () => {
  const one = alert("down", { unit: "a" }, 0);
  const during = watch(
    30,
    () => [one],
    (second) => second < 20,
  );
  assert.deepEqual(timesOf(during.messages), ["20 news +1 -0"]);
  const told = watch(
    30,
    (second) => (second < 20 ? [one] : [ended(one, 20_000)]),
    (second) => second > 5,
  );
  assert.deepEqual(timesOf(told.messages), ["1 news +1 -0", "20 news +0 -1"]);
  const never = watch(
    30,
    (second) => (second < 20 ? [one] : [ended(one, 20_000)]),
    () => true,
  );
  assert.deepEqual(never.messages, []);
});

test("every message has an id of its own, also after the group was forgotten", () => {
  const on = (second: number): Alert => alert("down", { unit: "a" }, second * 1_000);
  const { messages } = watch(1_600, (second) =>
    second < 10
      ? [on(0)]
      : second < 700
        ? [ended(on(0), 10_000)]
        : second < 1_500
          ? [on(700)]
          : [ended(on(700), 1_500_000)],
  );
  assert.equal(new Set(messages.map(({ id }) => id)).size, messages.length);
  assert.ok(messages.length >= 4);
});

test("the first route that fits counts; what none fits is told to nobody", () => {
  const routes: NotifyRoute[] = [
    { ...ROUTE, match: { severity: ["critical"], unit: ["a", "b"] }, groupBy: ["unit"] },
    { ...ROUTE, match: { rule: ["down"] } },
  ];
  const members = [
    alert("down", { unit: "a" }, 0),
    alert("down", { unit: "b" }, 0),
    alert("down", { unit: "c" }, 0),
    alert("slow", { unit: "c" }, 0),
  ].map((one) => ({ alert: one, muted: false }));
  const groups = [...groupsOf(members, routes).values()];
  assert.deepEqual(
    groups.map(({ labels, members: own }) => [labels, own.length]),
    [
      [{ unit: "a" }, 1],
      [{ unit: "b" }, 1],
      [{ rule: "down" }, 1],
    ],
  );
});

test("a silence fits by all of its labels, in its time", () => {
  const silence = {
    id: "si-1",
    match: { unit: ["a", "b"], severity: ["critical"] },
    from: 10,
    until: 20,
    reason: "",
    by: "",
    at: 0,
  };
  const one = alert("down", { unit: "a" }, 0);
  assert.equal(silenceOf(one, [silence], 9), undefined);
  assert.equal(silenceOf(one, [silence], 10), silence);
  assert.equal(silenceOf(one, [silence], 20), undefined);
  assert.equal(silenceOf(alert("down", { unit: "c" }, 0), [silence], 10), undefined);
  assert.equal(silenceOf({ ...one, severity: "info" }, [silence], 10), undefined);
});

test("a dead unit speaks for its own breakers and routes, and not for those of others", () => {
  const rules = [
    { name: "down", inhibits: ["breaker", "budget"] },
    { name: "breaker", inhibits: [] },
  ] as unknown as AlertRule[];
  const down = alert("down", { unit: "a", team: "sre" }, 0);
  const [own, foreign] = [
    alert("breaker", { unit: "a", service: "s", team: "shop" }, 0),
    alert("breaker", { unit: "b", service: "s", team: "shop" }, 0),
  ];
  // It is about no unit: whatever is dead explains it.
  const budget = alert("budget", { route: "cart" }, 0);
  const found = inhibitions([down, own, foreign, budget], rules);
  assert.deepEqual([...found.keys()].sort(), [own.id, budget.id].sort());
  assert.equal(found.get(own.id), down);
  assert.equal(inhibitions([ended(down, 5), own], rules).size, 0);
});

test("a thousand causes and a thousand effects are compared by what they share", () => {
  const rules = [{ name: "down", inhibits: ["breaker"] }] as unknown as AlertRule[];
  const alerts = Array.from({ length: 1_000 }, (_, i) => [
    alert("down", { unit: `u-${i}` }, 0),
    alert("breaker", { unit: `u-${i}`, service: "s" }, 0),
  ]).flat();
  assert.equal(inhibitions(alerts, rules).size, 1_000);
});
