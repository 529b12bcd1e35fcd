/**
 * What each kind of channel is sent: the same message in the form that its receiver takes.
 *
 * Texts come from files, gateways and other systems. They are one line each already; here they also lose what a receiver
 * would act on: mark-up, links with another text, and mentions that wake everybody.
 */
import { createHmac } from "node:crypto";
import { allLabels } from "../../model/alerts/alert.ts";
import type { Channel, ChannelKind } from "../../model/alerts/alerts.ts";
import { linesOf, type Message, titleOf, type ToldAlert } from "../../model/alerts/message.ts";
import { fill } from "../../model/alerts/template.ts";

export interface Links {
  /** The console; undefined: nobody said where it is. */
  readonly alerts: string | undefined;
  /** Acknowledges everything in this message, for whoever has it. */
  readonly ack: string | undefined;
}

export interface Formed {
  readonly body: string;
  /** Added to the address. */
  readonly query?: Readonly<Record<string, string>>;
}

type Form = (
  message: Message,
  channel: Channel,
  links: Links,
  secret: string | undefined,
  now: number,
) => Formed;

/** A label of ours, so that what comes back from an Alertmanager is known for our own. */
export const OWN = "tidegate";
const HOUR = 3_600_000;
/** An Alertmanager forgets what it does not hear of again: so long after, at the latest. */
const STANDS = 24 * HOUR;
const MOST_TEXT = 3_500;

/** No mention, no mark-up: the wide forms look the same and mean nothing. */
function harmless(text: string): string {
  return text.replace(/[@<>]/g, (sign) => ({ "@": "＠", "<": "＜", ">": "＞" })[sign]!);
}

export function textOf(message: Message, { line }: Pick<Channel, "line">, links: Links): string {
  const lines = [titleOf(message), ...linesOf(message, line)].map(harmless);
  while (lines.length > 2 && lines.join("\n").length > MOST_TEXT) lines.splice(-2, 2, "…");
  let text = lines.join("\n").slice(0, MOST_TEXT);
  if (links.ack !== undefined) text += `\nacknowledge: ${links.ack}`;
  if (links.alerts !== undefined) text += `\n${links.alerts}`;
  return text;
}

export const FORMS: Readonly<Record<Exclude<ChannelKind, "email">, Form>> = {
  webhook: (message, _channel, links) => ({
    body: JSON.stringify({ version: 1, ...message, title: titleOf(message), links }),
  }),
  slack: (message, channel, links) => {
    const text = textOf(message, channel, links);
    // `plain_text` is shown as it is; the text beside it is for notifications, and has nothing left that Slack reads.
    const blocks = [
      { type: "section", text: { type: "plain_text", text: text.slice(0, 2_900), emoji: false } },
    ];
    return {
      body: JSON.stringify({ text: text.replaceAll("&", "&amp;"), mrkdwn: false, link_names: false, blocks }),
    };
  },
  dingtalk: (message, channel, links, secret, now) => {
    const body = JSON.stringify({
      msgtype: "text",
      text: { content: textOf(message, channel, links) },
      at: { isAtAll: false, atMobiles: [] },
    });
    if (secret === undefined) return { body };
    const timestamp = `${now}`;
    const sign = createHmac("sha256", secret).update(`${timestamp}\n${secret}`).digest("base64");
    return { body, query: { timestamp, sign } };
  },
  feishu: (message, channel, links, secret, now) => {
    const content = { text: textOf(message, channel, links) };
    if (secret === undefined) return { body: JSON.stringify({ msg_type: "text", content }) };
    const timestamp = `${Math.floor(now / 1000)}`;
    // As they want it: the secret is in the key, and nothing is signed.
    const sign = createHmac("sha256", `${timestamp}\n${secret}`).update("").digest("base64");
    return { body: JSON.stringify({ timestamp, sign, msg_type: "text", content }) };
  },
  wecom: (message, channel, links) => ({
    body: JSON.stringify({ msgtype: "text", text: { content: textOf(message, channel, links) } }),
  }),
  alertmanager: (message, _channel, links, _secret, now) => ({
    body: JSON.stringify(
      [...message.firing, ...message.resolved].map((alert) => forAlertmanager(alert, links, now)),
    ),
  }),
  provider: (message, channel, links) => {
    const severity = message.firing[0]?.severity ?? "resolved";
    const values = {
      text: textOf(message, channel, links),
      title: harmless(titleOf(message)),
      severity,
      to: channel.to.join(","),
      link: links.alerts ?? "",
      ack: links.ack ?? "",
      id: message.id,
    };
    // Filled in after it is read as JSON: no value can end the text that it stands in.
    const filled: unknown = JSON.parse(channel.body ?? "{}", (_key, value: unknown) =>
      typeof value === "string" ? fill(value, values) : value,
    );
    return { body: JSON.stringify(filled) };
  },
};

function forAlertmanager(alert: ToldAlert, links: Links, now: number): object {
  const { rule, severity, labels, summary, seen, firedAt, resolvedAt } = alert;
  const all = Object.entries({ ...allLabels({ rule, severity, labels }), alertname: rule, source: OWN });
  return {
    labels: Object.fromEntries(all.map(([name, value]) => [name.replace(/[^A-Za-z0-9_]/g, "_"), value])),
    annotations: { summary, description: seen },
    startsAt: new Date(firedAt).toISOString(),
    endsAt: new Date(resolvedAt ?? now + STANDS).toISOString(),
    ...(links.alerts === undefined ? {} : { generatorURL: links.alerts }),
  };
}

/** What these answer with 200 is not always a yes. @returns why it is none */
export function refusedBy(kind: ChannelKind, text: string): string | undefined {
  if (kind !== "dingtalk" && kind !== "wecom" && kind !== "feishu") return undefined;
  let answer: Record<string, unknown>;
  try {
    answer = Object(JSON.parse(text)) as Record<string, unknown>;
  } catch {
    return "it answered 200 and no JSON";
  }
  const code = kind === "feishu" ? (answer.code ?? answer.StatusCode) : answer.errcode;
  if (code === 0) return undefined;
  return `it answered ${String(code)}: ${String(answer.errmsg ?? answer.msg ?? "").slice(0, 200)}`;
}
