/** The shape of `alerts.yaml`. */
import Type, { type Static } from "typebox";
import {
  ALERT_KINDS,
  ALERT_WINDOWS,
  CHANNEL_KINDS,
  NO_DATA,
  SECRET_NAME,
  SEVERITIES,
  SUBJECTS,
} from "../alerts/alerts.ts";
import * as field from "./field.ts";

const optional = Type.Optional;
const DAY = 24 * field.HOUR;

const LABEL = /^[a-z][a-z0-9_-]{0,62}$/;
const secret = (description: string) =>
  optional(
    field.text(`${description} The name of a variable of the control plane's environment.`, {
      expected: "the name of a variable that begins with TIDEGATE_ALERT_",
      pattern: SECRET_NAME,
      code: "invalid-secret-name",
    }),
  );
const texts = (description: string) =>
  field.list(description, "a list of values", field.text("A value.", { numbers: true, most: 200 }), 1);
const subject = field.word("unit or route.", SUBJECTS);

const rule = field.map(
  "a rule",
  "What an alert is about: one of when, burn and is; and what follows from it.",
  {
    when: optional(
      field.plain("A condition that is bad, such as errors{unit=$, braces and unit} > 5%.", 1000),
    ),
    burn: optional(
      field.map(
        "a burn rate",
        "An error budget that is used up too fast: 14.4 × over 1h and 5m, or 6 × over 6h and 30m.",
        {
          objective: field.percentage("What is promised, such as 99.9%.", { min: 0.5, max: 0.99999 }),
        },
      ),
    ),
    is: optional(field.word("What is asked of the fleet without a condition.", ALERT_KINDS)),
    each: optional(
      field.either("What it is asked once for each of.", "unit, route, or a list of both", [
        subject,
        field.list("unit and route.", "a list of unit and route", subject, 1),
      ]),
    ),
    window: optional(field.word("With when: over how long. Default 10s.", ALERT_WINDOWS)),
    samples: optional(
      field.integer(
        "With when and burn: requests below which shares and latencies say nothing. Default 20.",
        {
          min: 0,
          max: 1e9,
        },
      ),
    ),
    above: optional(
      field.rate(
        "With limit-saturated: refusals. With rps-drop: requests below which nothing drops. Default 1/s.",
      ),
    ),
    older: optional(
      field.text("With rehearsal-old: days such as 30d, which is the default.", {
        pattern: /^[1-9]\d{0,2}d$/,
        expected: "days such as 30d",
      }),
    ),
    drop: optional(field.percentage("With rps-drop: by so much. Default 50%.", { min: 0.01 })),
    against: optional(
      field.word("With rps-drop: the hour or the day before. Default hour.", ["hour", "day"]),
    ),
    for: optional(field.duration("How long it holds before it fires. Default 0s.", { min: 0, max: DAY })),
    "keep-firing": optional(
      field.duration("How long it fires on after it held last. Default 30s.", { min: 0, max: DAY }),
    ),
    "on-no-data": optional(
      field.word("What nobody knows: hold what was, fire, or ok. Default hold.", NO_DATA),
    ),
    severity: optional(field.word("Default warning.", SEVERITIES)),
    labels: optional(
      field.keyed(
        "More labels, for routes and silences.",
        "a map of texts",
        field.text("A value.", { most: 200 }),
      ),
    ),
    summary: optional(
      field.text("One sentence; it may name labels by $, braces and the label.", { most: 500 }),
    ),
    inhibits: optional(
      field.list(
        "Rules that are quiet while this one fires for the same unit, route, service and so on.",
        "a list of rules",
        field.reference("rule"),
        1,
      ),
    ),
    plan: optional(
      field.map("a plan", "What to do about it.", {
        name: field.reference("plan"),
        values: optional(
          field.keyed(
            "Its parameters; they may name labels.",
            "a map of values",
            field.plain("A value.", 1000),
          ),
        ),
      }),
    ),
    run: optional(
      field.boolean(
        "Runs the plan by itself, where its preconditions and the safety rules agree. Default false.",
      ),
    ),
  },
);

const channel = field.map("a channel", "A way to people. Its secrets are variables of the environment.", {
  kind: field.word("What is spoken there.", CHANNEL_KINDS),
  url: optional(field.text("Where: webhook, alertmanager and provider.")),
  "url-from": secret("Where, when the address is a secret itself."),
  "secret-from": secret("What is signed with: webhook, dingtalk and feishu."),
  "token-from": secret("Bearer token: alertmanager and provider."),
  to: optional(texts("With email: addresses. With provider: numbers.")),
  from: optional(field.text("With email: who says it.", { most: 200 })),
  smtp: optional(field.text("With email: smtp://host:port or smtps://host:port.")),
  user: optional(field.text("With email: who signs in.", { most: 200 })),
  "password-from": secret("With email: their password."),
  body: optional(
    field.text("With provider: JSON whose texts may name text, title, severity, to, link and ack."),
  ),
  line: optional(
    field.text("One alert in a line; it may name labels, summary, seen and state.", { most: 500 }),
  ),
  timeout: optional(field.duration("Of one attempt. Default 5s.", { min: 100, max: 60_000 })),
});

const channels = (description: string) =>
  field.list(description, "a list of channels", field.reference("channel"), 1);

const route = field.map("a route", "Which alerts are told to whom. The first that fits counts.", {
  match: optional(
    field.keyed(
      "Labels and their values; rule and severity among them. Default: every alert.",
      "a map from labels to values",
      field.either("A value, or a list of them.", "a value or a list of values", [
        field.text("A value.", { numbers: true, most: 200 }),
        texts("Values, any of which fits."),
      ]),
    ),
  ),
  to: channels("Where it is told."),
  "group-by": optional(
    field.list(
      "Alerts that have the same values of these share messages. Default [rule].",
      "a list of labels",
      field.text("A label.", { pattern: LABEL, expected: "a label such as unit", code: "invalid-label" }),
    ),
  ),
  wait: optional(
    field.duration("How long a first message waits for more. Default 1s.", { min: 0, max: 300_000 }),
  ),
  interval: optional(
    field.duration("Between two messages of a group. Default 5s.", { min: 1000, max: field.HOUR }),
  ),
  repeat: optional(
    field.duration("When it is said again if nobody acknowledges. Default 4h.", {
      min: 60_000,
      max: 7 * DAY,
    }),
  ),
  escalate: optional(
    field.list(
      "Who else is told while nobody acknowledges, in order.",
      "a list of escalations",
      field.map("an escalation", "A further step.", {
        after: field.duration("Since it was first told.", { min: 1000, max: DAY }),
        to: channels("Where it is told then."),
      }),
      1,
    ),
  ),
});

export const AlertsSchema = field.map("alerts", "What people are told of, and how.", {
  rules: optional(field.named("rule", "Rules by name.", rule)),
  channels: optional(field.named("channel", "Ways to people, by name.", channel)),
  notify: optional(field.list("Who is told of what, in order.", "a list of routes", route)),
  link: optional(field.text("Where people reach this control plane, such as https://tidegate.example.com.")),
});

export type AlertsShape = Static<typeof AlertsSchema>;
