/** `tidegate alert`: what fires, who looks after it, who is quiet about it, and what became of the messages. */
import { type Command, Option } from "commander";
import { ApiFailure, type ApiOptions, runApi, withApi } from "./api-client.ts";
import { moment, paint, span, table } from "./tables.ts";

interface AlertView {
  readonly id: string;
  readonly rule: string;
  readonly severity: string;
  readonly state: "pending" | "firing" | "resolved";
  readonly labels: Readonly<Record<string, string>>;
  readonly since: number;
  readonly firedAt?: number;
  readonly resolvedAt?: number;
  readonly summary: string;
  readonly seen: string;
  readonly noData: boolean;
  readonly silencedBy: string | null;
  readonly inhibitedBy: { readonly rule: string } | null;
  readonly ack: { readonly by: string; readonly reason: string } | null;
  readonly plan: { readonly name: string; readonly values: Readonly<Record<string, string>> } | null;
  readonly run: { readonly state: string; readonly execution?: string; readonly says?: string } | null;
}

interface Listed {
  readonly now: number;
  readonly alerts: readonly AlertView[];
  readonly rules: readonly object[];
  readonly channels: readonly {
    readonly name: string;
    readonly kind: string;
    readonly problem: string | null;
  }[];
}

interface Silence {
  readonly id: string;
  readonly match: Readonly<Record<string, readonly string[]>>;
  readonly from: number;
  readonly until: number;
  readonly reason: string;
  readonly by: string;
}

interface Delivery {
  readonly message: string;
  readonly channel: string;
  readonly state: string;
  readonly at: number;
  readonly attempts: number;
  readonly endedAt?: number;
  readonly says?: string;
}

type Reasoned = ApiOptions & { readonly reason: string };

const repeat = (text: string, before: string[] | undefined): string[] => [...(before ?? []), text];

export function registerAlerts(program: Command): void {
  const alert = program.command("alert").description("alerts: what fires, and who is told");
  withApi(alert.command("list"))
    .description("what fires, or is about to, the worst first")
    .option("--all", "and what ended in the last day")
    .option("--silences", "silences and maintenance windows instead")
    .option("--channels", "channels instead, and why one could not be used")
    .action((options: ApiOptions & { all?: boolean; silences?: boolean; channels?: boolean }) =>
      runApi(options, async (api, print) => {
        if (options.silences === true) {
          const answer = await api.call<{ now: number; silences: Silence[] }>("GET", "/v1/silences");
          print.say(answer, () => silencesText(answer.silences, answer.now));
          return;
        }
        const answer = await api.call<Listed>("GET", `/v1/alerts${options.all === true ? "?all=true" : ""}`);
        print.say(answer, () => (options.channels === true ? channelsText(answer) : listText(answer)));
      }),
    );
  withApi(alert.command("ack"))
    .description("say that you look after it: it is not repeated, nor escalated")
    .argument("<id>", "such as al-…: tidegate alert list")
    .requiredOption("--reason <text>", "what you do about it")
    .action((id: string, options: Reasoned) =>
      runApi(options, async (api, print) => {
        const path = `/v1/alerts/${encodeURIComponent(id)}/ack`;
        const answer = await api.call<AlertView>("POST", path, { reason: options.reason });
        print.say(answer, () => `${answer.rule} ${id} is looked after by ${answer.ack?.by}`);
      }),
    );
  withApi(alert.command("silence"))
    .description("tell nobody of some alerts for a while")
    .argument("<label=value...>", "which: such as unit=sh rule=unit-errors; all of them have to fit")
    .requiredOption("--for <duration>", "how long, such as 2h or 1d; 31d at most")
    .addOption(
      new Option("--from <time>", "a maintenance window: when it begins, such as 2026-11-10T23:30+08:00"),
    )
    .requiredOption("--reason <text>", "why; the audit log keeps it")
    .addHelpText(
      "after",
      "\nExamples:\n  tidegate alert silence unit=sh --for 2h --reason 'new switches in sh'\n" +
        "  tidegate alert silence severity=info severity=warning --for 30m --reason 'a rehearsal'",
    )
    .action((labels: string[], options: Reasoned & { for: string; from?: string }) =>
      runApi(options, async (api, print) => {
        const { for: duration, reason } = options;
        const from = options.from === undefined ? undefined : timeOf(options.from);
        const body = { match: matchOf(labels), duration, from, reason };
        const answer = await api.call<Silence & { firing: number }>("POST", "/v1/silences", body);
        print.say(
          answer,
          () => `${answer.id} until ${moment(answer.until)}; ${answer.firing} of what fires now is in it`,
        );
      }),
    );
  withApi(alert.command("unsilence"))
    .description("end a silence")
    .argument("<id>", "such as si-…: tidegate alert list --silences")
    .requiredOption("--reason <text>", "why; the audit log keeps it")
    .action((id: string, { reason, ...options }: Reasoned) =>
      runApi(options, async (api, print) => {
        const path = `/v1/silences/${encodeURIComponent(id)}?${new URLSearchParams({ reason })}`;
        print.say(await api.call("DELETE", path), () => `${id} is over`);
      }),
    );
  withApi(alert.command("test"))
    .description("send one message to a channel now")
    .argument("<channel>", "its name in alerts.yaml")
    .option("--reason <text>", "what the message says", "a test")
    .action((channel: string, options: Reasoned) =>
      runApi(options, async (api, print) => {
        const path = `/v1/channels/${encodeURIComponent(channel)}/test`;
        const answer = await api.call<{ ok: boolean; says: string | null; took: number }>("POST", path, {
          reason: options.reason,
        });
        if (!answer.ok) throw new ApiFailure(`${channel}: ${answer.says}`, answer as never);
        print.say(answer, () => `${channel} took it in ${answer.took} ms`);
      }),
    );
  withApi(alert.command("log"))
    .description("messages to channels, the newest first")
    .addOption(new Option("--state <state>", "only these").choices(["waiting", "sent", "dead"]))
    .option("--dead", "only those that could not be delivered")
    .action((options: ApiOptions & { state?: string; dead?: boolean }) =>
      runApi(options, async (api, print) => {
        const state = options.dead === true ? "dead" : options.state;
        const path = `/v1/notifications${state === undefined ? "" : `?state=${state}`}`;
        const answer = await api.call<{ notifications: Delivery[] }>("GET", path);
        print.say(answer, () => logText(answer.notifications));
      }),
    );
}

/** @throws ApiFailure */
function matchOf(labels: readonly string[]): Record<string, string[]> {
  const match: Record<string, string[]> = {};
  for (const text of labels) {
    const at = text.indexOf("=");
    if (at < 1 || at === text.length - 1)
      throw new ApiFailure(`${text} is no label; expected one such as unit=sh`);
    match[text.slice(0, at)] = repeat(text.slice(at + 1), match[text.slice(0, at)]);
  }
  return match;
}

/** @throws ApiFailure */
function timeOf(text: string): number {
  const at = Date.parse(text);
  if (!Number.isNaN(at)) return at;
  throw new ApiFailure(`--from is ${text}; expected a time such as 2026-11-10T23:30+08:00`);
}

function listText({ alerts, rules, channels, now }: Listed): string {
  const broken = channels.filter(({ problem }) => problem !== null);
  const warnings = broken.map(({ name, problem }) =>
    paint("red", `channel ${name} cannot be used: ${problem}`),
  );
  if (alerts.length === 0) {
    const nothing =
      rules.length === 0
        ? "no rules; write some in alerts.yaml of the configuration"
        : paint("green", "nothing fires");
    return [nothing, ...warnings].join("\n");
  }
  const rows = alerts.map((one) => [
    one.state === "firing" ? severityText(one.severity) : `${one.severity} (${one.state})`,
    one.rule,
    Object.entries(one.labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(" "),
    span(now - (one.firedAt ?? one.since)),
    [one.summary, ...remarksOf(one)].join("\n"),
    one.id,
  ]);
  return [table(["severity", "rule", "of", "for", "what", "id"], rows), ...warnings].join("\n");
}

function remarksOf(one: AlertView): string[] {
  const { ack, silencedBy, inhibitedBy, plan, run, noData } = one;
  const sets = Object.entries(plan?.values ?? {}).map(([name, value]) => ` --set ${name}=${value}`);
  return [
    ...(noData ? [paint("yellow", "no data now")] : []),
    ...(ack === null ? [] : [paint("dim", `${ack.by} looks after it: ${ack.reason}`)]),
    ...(silencedBy === null ? [] : [paint("dim", `silenced by ${silencedBy}`)]),
    ...(inhibitedBy === null ? [] : [paint("dim", `quiet for ${inhibitedBy.rule}`)]),
    ...(run?.state === "started" ? [`plan ${plan?.name} runs as ${run.execution}`] : []),
    ...(run?.state === "refused" ? [`plan ${plan?.name} was not run: ${run.says}`] : []),
    ...(plan === null || run?.state === "started" || one.state === "resolved"
      ? []
      : [`tidegate plan dry-run ${plan.name}${sets.join("")}`]),
  ];
}

function severityText(severity: string): string {
  return severity === "critical"
    ? paint("red", severity)
    : severity === "warning"
      ? paint("yellow", severity)
      : severity;
}

function channelsText({ channels }: Listed): string {
  if (channels.length === 0) return "no channels; write some in alerts.yaml of the configuration";
  return table(
    ["channel", "kind", "can be used"],
    channels.map(({ name, kind, problem }) => [
      name,
      kind,
      problem === null ? paint("green", "yes") : paint("red", `no: ${problem}`),
    ]),
  );
}

function silencesText(silences: readonly Silence[], now: number): string {
  if (silences.length === 0) return "nothing is silenced";
  return table(
    ["id", "which", "from", "until", "by", "why"],
    silences.map(({ id, match, from, until, by, reason }) => [
      id,
      Object.entries(match)
        .map(([name, values]) => `${name}=${values.join(",")}`)
        .join(" "),
      from > now ? moment(from) : "now",
      moment(until),
      by,
      reason,
    ]),
  );
}

function logText(notifications: readonly Delivery[]): string {
  if (notifications.length === 0) return "no messages";
  return table(
    ["when", "channel", "state", "took", "attempts", "message", "says"],
    notifications.map(({ at, channel, state, endedAt, attempts, message, says }) => [
      moment(at),
      channel,
      state === "sent"
        ? paint("green", state)
        : state === "dead"
          ? paint("red", state)
          : paint("yellow", state),
      endedAt === undefined ? "" : `${((endedAt - at) / 1000).toFixed(1)} s`,
      `${attempts}`,
      message,
      says ?? "",
    ]),
  );
}
