/** What people are told of, and how: the meaning of the optional `alerts.yaml`. */

export const SEVERITIES = ["critical", "warning", "info"] as const;
export type Severity = (typeof SEVERITIES)[number];

/** What a rule asks of the fleet without an expression. */
export const ALERT_KINDS = [
  "unit-unhealthy",
  "breaker-open",
  "limit-saturated",
  "gateway-behind",
  "gateway-refuses",
  "gateway-gone",
  "plan-unfit",
  "rehearsal-old",
  "execution-held",
  "rollout-taken-back",
  "rps-drop",
] as const;
export type AlertKind = (typeof ALERT_KINDS)[number];

/** What a rule is asked once for each of. */
export const SUBJECTS = ["unit", "route"] as const;
export type Subject = (typeof SUBJECTS)[number];

export const ALERT_WINDOWS = ["10s", "1m", "10m", "1h"] as const;
export type AlertWindow = (typeof ALERT_WINDOWS)[number];

export type Test =
  /** A condition whose text may name `${unit}` and `${route}`. Shares and latencies of fewer requests say nothing. */
  | {
      readonly kind: "when";
      readonly text: string;
      readonly window: AlertWindow;
      readonly samples: number;
    }
  /** An error budget that is used up too fast. */
  | { readonly kind: "burn"; readonly objective: number; readonly samples: number }
  /** Refusals a second, at least. */
  | { readonly kind: "limit-saturated"; readonly above: number }
  /** Milliseconds since the last rehearsal. */
  | { readonly kind: "rehearsal-old"; readonly older: number }
  /** By so much of what it was, of at least `above` requests a second. */
  | {
      readonly kind: "rps-drop";
      readonly drop: number;
      readonly against: "hour" | "day";
      readonly above: number;
    }
  | { readonly kind: Exclude<AlertKind, "limit-saturated" | "rehearsal-old" | "rps-drop"> };

/** What becomes of an alert while nobody knows: it stays as it is, fires, or ends. */
export const NO_DATA = ["hold", "fire", "ok"] as const;

export interface AlertRule {
  readonly name: string;
  readonly test: Test;
  readonly each: readonly Subject[];
  /** `for`: how long (ms) it holds before it fires. */
  readonly hold: number;
  /** How long (ms) it goes on firing after it held last. */
  readonly keepFiring: number;
  readonly onNoData: (typeof NO_DATA)[number];
  readonly severity: Severity;
  readonly labels: Readonly<Record<string, string>>;
  /** Undefined: what was seen says it. */
  readonly summary: string | undefined;
  /** Rules that are quiet while this one fires, where the labels that both have are the same. */
  readonly inhibits: readonly string[];
  /** What to do about it; values may name labels. */
  readonly plan: { readonly name: string; readonly values: Readonly<Record<string, string>> } | undefined;
  /** The plan is run by itself. */
  readonly run: boolean;
}

export const CHANNEL_KINDS = [
  "webhook",
  "slack",
  "dingtalk",
  "feishu",
  "wecom",
  "alertmanager",
  "email",
  "provider",
] as const;
export type ChannelKind = (typeof CHANNEL_KINDS)[number];

/** Secrets are named, never held: each is a variable of the control plane's environment. */
export interface Channel {
  readonly name: string;
  readonly kind: ChannelKind;
  readonly url: string | undefined;
  readonly urlFrom: string | undefined;
  readonly secretFrom: string | undefined;
  readonly tokenFrom: string | undefined;
  /** E-mail: whom; provider: numbers. */
  readonly to: readonly string[];
  readonly from: string | undefined;
  /** `smtp://host:port` or `smtps://host:port`. */
  readonly smtp: string | undefined;
  readonly user: string | undefined;
  readonly passwordFrom: string | undefined;
  /** Provider: JSON whose texts may name `${text}` and others. */
  readonly body: string | undefined;
  /** One alert in one line; undefined: the usual one. */
  readonly line: string | undefined;
  /** Milliseconds of one attempt. */
  readonly timeout: number;
}

/** Label → values, any of which fits. `rule` and `severity` are labels of every alert. */
export type Match = Readonly<Record<string, readonly string[]>>;

export interface Escalation {
  /** Milliseconds since it was first told, while nobody has acknowledged it. */
  readonly after: number;
  readonly to: readonly string[];
}

/** Whom which alerts are told to. The first that fits counts. */
export interface NotifyRoute {
  readonly match: Match;
  readonly to: readonly string[];
  /** Alerts whose values of these labels are the same share messages. */
  readonly groupBy: readonly string[];
  /** Milliseconds that a first message waits for more to say. */
  readonly wait: number;
  /** Milliseconds between two messages of one group, at least. */
  readonly interval: number;
  /** Milliseconds after which what nobody acknowledged is said again. */
  readonly repeat: number;
  readonly escalate: readonly Escalation[];
}

export interface Alerts {
  readonly rules: readonly AlertRule[];
  readonly channels: readonly Channel[];
  readonly notify: readonly NotifyRoute[];
  /** Where people reach this control plane. */
  readonly link: string | undefined;
}

export const NO_ALERTS: Alerts = { rules: [], channels: [], notify: [], link: undefined };

/** Rules × what they are asked of. */
export const MOST_SUBJECTS = 10_000;
export const MOST_RULES = 500;
export const MOST_CHANNELS = 100;
/** Names of the variables that a channel may read: nothing else of the environment leaves the control plane. */
export const SECRET_NAME = /^TIDEGATE_ALERT_[A-Z0-9_]{1,60}$/;
