/** Alerts: what fires, who knows of it, who is quiet about it, and what became of the messages. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import type { Alert } from "../../model/alerts/alert.ts";
import type { Alerting } from "../alerts/alerting.ts";
import type { Changes } from "../alerts/book.ts";
import { type Quiet, quietOf } from "../alerts/notifying.ts";
import { linksOf } from "../alerts/outbox.ts";
import { receive, type ReceivedAlert } from "../alerts/receiver.ts";
import type { CommandAnswer } from "../commands.ts";
import type { Actor } from "../draft.ts";
import { Refused } from "../refused.ts";
import { once } from "./once.ts";
import { Anything, CommandHeaders, Reason, responses } from "./schemas.ts";
import type { Plane } from "./server.ts";

const NO_QUIET: Quiet = { silenced: new Map(), inhibited: new Map() };
const strict = { additionalProperties: false };
const AlertId = Type.Object({ id: Type.String({ pattern: "^al-[0-9a-f]{16}$" }) });
const Texts = (most: number) =>
  Type.Record(Type.String({ maxLength: 200 }), Type.String({ maxLength: most }), { maxProperties: 100 });
/** The most urgent of them: nobody reads more, and a screen asks again every second. */
const MOST_SHOWN = 1_000;
/** Tests of one channel, in so long (ms): a provider's messages cost money. */
const TEST_PAUSE = 5_000;

export function registerAlerts(api: FastifyInstance, plane: Plane): void {
  const { alerting, commands, random } = plane;
  const { book } = alerting;
  const tested = new Map<string, number>();

  api.get<{ Querystring: { all?: string } }>(
    "/v1/alerts",
    {
      config: { role: "viewer" },
      schema: {
        summary:
          "Alerts that fire or are about to, the worst first; with `all`, also those that ended in the last day",
        querystring: Type.Object({ all: Type.Optional(Type.Literal("true")) }, strict),
        response: responses(Anything),
      },
    },
    async ({ query }) => {
      const known = await alerting.list("alert");
      const quiet = quietOf(known, await alerting.list("silence"), alerting.alerts, alerting.now());
      const shown = known.filter(({ phase }) => query.all === "true" || phase.state !== "resolved");
      const { rules, channels } = alerting.alerts;
      return {
        now: alerting.now(),
        leads: book.isRead,
        total: shown.length,
        alerts: shown
          .sort(byUrgency)
          .slice(0, MOST_SHOWN)
          .map((alert) => viewOf(alert, alerting, quiet)),
        rules: rules.map(({ name, test, severity, each, plan, run }) => ({
          ...{ name, kind: test.kind, severity, each, plan: plan?.name ?? null, run },
        })),
        channels: channels.map((channel) => ({
          name: channel.name,
          kind: channel.kind,
          problem: alerting.channels.problem(channel) ?? null,
        })),
      };
    },
  );

  api.post<{ Params: { id: string }; Body: { reason: string } }>(
    "/v1/alerts/:id/ack",
    {
      config: { role: "operator" },
      schema: {
        summary: "Says that somebody looks after an alert: it is not repeated, nor escalated",
        headers: CommandHeaders,
        params: AlertId,
        body: Type.Object({ reason: Reason }, strict),
        response: responses(Anything),
      },
    },
    once<{ Params: { id: string }; Body: { reason: string } }>(commands, async (request, record) => {
      const { params, body, actor } = request;
      return await book.change((changes) => {
        const alert = book.table("alert").get(params.id);
        if (alert === undefined)
          throw new Refused("not-found", `there is no alert ${params.id}; tidegate alert list`);
        if (alert.phase.state !== "firing") {
          throw new Refused(
            "conflict",
            `${alert.id} is ${alert.phase.state}; only what fires is acknowledged`,
          );
        }
        const next = acknowledge(changes, alert, actor, body.reason, alerting.now());
        const answer: CommandAnswer = { status: 200, headers: {}, body: viewOf(next, alerting, NO_QUIET) };
        changes.also.push(...record(answer));
        return answer;
      });
    }),
  );

  api.get<{ Querystring: { state?: string } }>(
    "/v1/notifications",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Messages to channels, the newest first: waiting, sent, or dead",
        querystring: Type.Object(
          {
            state: Type.Optional(
              Type.Union([Type.Literal("waiting"), Type.Literal("sent"), Type.Literal("dead")]),
            ),
          },
          strict,
        ),
        response: responses(Anything),
      },
    },
    async ({ query }) => {
      const known = await alerting.list("alert-delivery");
      const wanted = known.filter(({ state }) => query.state === undefined || state === query.state);
      return { notifications: wanted.sort((a, b) => b.at - a.at || (a.id < b.id ? -1 : 1)) };
    },
  );

  api.post<{ Params: { name: string }; Body: { reason: string } }>(
    "/v1/channels/:name/test",
    {
      config: { role: "operator" },
      schema: {
        summary: "Sends one message to a channel now, and says what came of it",
        headers: CommandHeaders,
        params: Type.Object({ name: Type.String({ maxLength: 63 }) }),
        body: Type.Object({ reason: Reason }, strict),
        response: responses(Anything),
      },
    },
    once<{ Params: { name: string }; Body: { reason: string } }>(
      commands,
      async ({ params, body, actor }, record) => {
        const channel = alerting.alerts.channels.find(({ name }) => name === params.name);
        if (channel === undefined) {
          const names = alerting.alerts.channels.map(({ name }) => name).join(", ") || "none";
          throw new Refused("not-found", `there is no channel ${params.name}; there is ${names}`);
        }
        const now = alerting.now();
        if (now - (tested.get(channel.name) ?? 0) < TEST_PAUSE) {
          throw new Refused(
            "too-many",
            `${channel.name} was tested a moment ago; wait ${TEST_PAUSE / 1000} s`,
          );
        }
        tested.set(channel.name, now);
        const id = `am-test-${random(6).toString("hex")}`;
        const message = testMessage(id, `${actor.name}: ${body.reason}`, now);
        const links = linksOf(alerting.alerts, undefined, id, channel.name, now);
        const sent = await alerting.channels.send(channel, message, id, links);
        const says = sent.ok ? null : sent.reason;
        const answer: CommandAnswer = {
          status: 200,
          headers: {},
          body: { channel: channel.name, ok: sent.ok, says, took: alerting.now() - now },
        };
        await book.change((changes) => {
          const after = JSON.stringify({ ok: sent.ok, says });
          const target = channel.name;
          audit(changes, "channel.test", target, actor, body.reason, "null", after, alerting.now());
          changes.also.push(...record(answer));
        });
        return answer;
      },
    ),
  );

  api.post<{ Body: { alerts: readonly ReceivedAlert[] } }>(
    "/v1/alertmanager",
    {
      config: { role: "operator" },
      schema: {
        summary: "Takes what an Alertmanager's webhook sends (version 4): its alerts are told as our own are",
        body: Type.Object({
          alerts: Type.Array(
            Type.Object({
              status: Type.Union([Type.Literal("firing"), Type.Literal("resolved")]),
              labels: Texts(1_000),
              annotations: Type.Optional(Texts(10_000)),
              startsAt: Type.Optional(Type.String({ maxLength: 40 })),
              endsAt: Type.Optional(Type.String({ maxLength: 40 })),
            }),
            { maxItems: 1_000 },
          ),
        }),
        response: responses(Anything),
      },
    },
    ({ body }) => book.change((changes) => receive(changes, book, body.alerts, alerting.now())),
  );
}

export function acknowledge(
  changes: Changes,
  alert: Alert,
  actor: Pick<Actor, "name" | "from">,
  reason: string,
  now: number,
): Alert {
  // The first who looks after it is named; who comes later is on record.
  const next: Alert =
    alert.ack === undefined ? { ...alert, ack: { by: actor.name, at: now, reason } } : alert;
  if (next !== alert) changes.put("alert", alert.id, next);
  const { id, rule } = alert;
  const after = JSON.stringify(next.ack);
  audit(
    changes,
    "alert.acknowledge",
    `${rule} ${id}`,
    actor,
    reason,
    JSON.stringify(alert.ack ?? null),
    after,
    now,
  );
  const body = JSON.stringify({ alert: id, rule, state: "acknowledged", by: actor.name, reason });
  changes.events.push({ at: now, type: "alert", body });
  return next;
}

export function audit(
  changes: Changes,
  action: string,
  target: string,
  { name, from }: Pick<Actor, "name" | "from">,
  reason: string,
  before: string,
  after: string,
  at: number,
): void {
  changes.audit.push({ at, actor: name, from, action, target, reason, before, after });
}

function testMessage(id: string, summary: string, at: number): Parameters<Alerting["channels"]["send"]>[1] {
  const alert = { id: "al-0000000000000000", rule: "test", severity: "info", labels: {} } as const;
  return {
    ...{ id, kind: "test", group: "ag-test", labels: {}, at, resolved: [] },
    firing: [{ ...alert, summary, seen: "", firedAt: at }],
    counts: { firing: 1, resolved: 0, active: 1 },
  };
}

const URGENCY = { critical: 0, warning: 1, info: 2 } as const;
const STATES = { firing: 0, pending: 1, resolved: 2 } as const;

function byUrgency(a: Alert, b: Alert): number {
  const state = STATES[a.phase.state] - STATES[b.phase.state];
  return state || URGENCY[a.severity] - URGENCY[b.severity] || (a.id < b.id ? -1 : 1);
}

function viewOf({ phase, ...alert }: Alert, { seen }: Alerting, quiet: Quiet): object {
  const last = seen.get(alert.id);
  const cause = quiet.inhibited.get(alert.id);
  return {
    ...alert,
    ...phase,
    seen: last?.says ?? alert.seen,
    noData: last !== undefined && last.holds === undefined,
    silencedBy: quiet.silenced.get(alert.id)?.id ?? null,
    inhibitedBy: cause === undefined ? null : { id: cause.id, rule: cause.rule },
    ack: alert.ack ?? null,
    plan: alert.plan ?? null,
    run: alert.run ?? null,
  };
}
