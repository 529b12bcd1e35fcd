/** Small things that many pages are made of. */
import type { ComponentChildren } from "preact";
import type { Problem } from "../data/api.ts";
import type { Violation } from "../data/shapes.ts";
import { stateText, useText } from "../text/text.ts";

/** Never by colour alone: each state has a shape of its own. */
const MARKS: Readonly<Record<string, readonly [tone: string, shape: string]>> = {
  well: ["ok", "●"],
  busy: ["warn", "▲"],
  down: ["bad", "✕"],
  drained: ["calm", "◌"],
  draining: ["calm", "◐"],
  fenced: ["warn", "▣"],
  unknown: ["none", "?"],
  running: ["accent", "▶"],
  paused: ["warn", "❙❙"],
  held: ["bad", "!"],
  succeeded: ["ok", "✓"],
  done: ["ok", "✓"],
  aborted: ["none", "■"],
  reverting: ["accent", "↺"],
  reverted: ["none", "↺"],
  skipped: ["none", "↷"],
  failed: ["bad", "✕"],
  waiting: ["none", "○"],
  "to come": ["none", "○"],
  "under way": ["accent", "▶"],
  "taken back": ["warn", "↺"],
  pass: ["ok", "✓"],
  hold: ["none", "○"],
  fail: ["bad", "✕"],
  pending: ["warn", "▲"],
  firing: ["bad", "✕"],
  resolved: ["ok", "✓"],
  slow: ["warn", "▲"],
  open: ["bad", "◯"],
  "half-open": ["warn", "◐"],
  closed: ["ok", "●"],
};

export function toneOf(state: string): string {
  return MARKS[state]?.[0] ?? "none";
}

export function State({ state, word }: { readonly state: string; readonly word?: string }) {
  const text = useText();
  const [tone, shape] = MARKS[state] ?? ["none", "○"];
  return (
    <span class={`state tone-${tone}`}>
      <span class="shape" aria-hidden="true">
        {shape}
      </span>
      {word ?? stateText(text, state)}
    </span>
  );
}

export function Panel({
  title,
  side,
  children,
  flush = false,
}: {
  readonly title?: ComponentChildren;
  readonly side?: ComponentChildren;
  readonly children: ComponentChildren;
  /** What is inside reaches its border. */
  readonly flush?: boolean;
}) {
  return (
    <section class={flush ? "panel flush" : "panel"}>
      {(title !== undefined || side !== undefined) && (
        <header>
          {title !== undefined && <h2>{title}</h2>}
          {side !== undefined && <div class="side">{side}</div>}
        </header>
      )}
      {children}
    </section>
  );
}

/** A plan or a rollout in a list of such: what it is for, and whether it fits. */
export function WrittenCard({
  href,
  of: { name, summary, fits, problems },
  children,
}: {
  readonly href: string;
  readonly of: {
    readonly name: string;
    readonly summary: string;
    readonly fits: boolean;
    readonly problems: readonly string[];
  };
  /** Its last line. */
  readonly children: ComponentChildren;
}) {
  const text = useText();
  return (
    <li>
      <a class="card" href={href}>
        <span class="line">
          <b class="title">{name}</b>
          <State state={fits ? "done" : "failed"} word={fits ? text.plans.fits : text.plans.misfits} />
        </span>
        <span>{summary}</span>
        {!fits && <span class="tone-bad">{problems.join("; ")}</span>}
        <small class="line">{children}</small>
      </a>
    </li>
  );
}

export function Heading({
  children,
  side,
}: {
  readonly children: ComponentChildren;
  readonly side?: ComponentChildren;
}) {
  return (
    <div class="heading">
      <h1 tabIndex={-1}>{children}</h1>
      {side !== undefined && <div class="side">{side}</div>}
    </div>
  );
}

export function Facts({ of }: { readonly of: readonly (readonly [string, ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {of.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Figure({
  name,
  value,
  tone = "none",
}: {
  readonly name: string;
  readonly value: string;
  readonly tone?: string;
}) {
  return (
    <div class={`figure tone-${tone}`}>
      <span class="value">{value}</span>
      <span class="name">{name}</span>
    </div>
  );
}

export function Empty({ children }: { readonly children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

/** What could not be read, and the way to try again. */
export function Unread({
  problem,
  reload,
}: {
  readonly problem: Problem | undefined;
  readonly reload?: () => void;
}) {
  const text = useText();
  if (problem === undefined) return <Empty>{text.common.loading}</Empty>;
  return (
    <div class="refusal" role="alert">
      <p>{problemText(text, problem)}</p>
      {reload !== undefined && (
        <button type="button" onClick={reload}>
          {text.common.retry}
        </button>
      )}
    </div>
  );
}

export function problemText(text: ReturnType<typeof useText>, problem: Problem): string {
  if (problem.kind === "unauthenticated") return text.problem.unauthenticated;
  if (problem.status === 0) return `${text.problem.unreachable} (${problem.message})`;
  return problem.message;
}

export function Violations({ of }: { readonly of: readonly Violation[] }) {
  const text = useText();
  return (
    <ul class="violations">
      {of.map(({ rule, message, satisfy }) => (
        <li key={rule}>
          <strong>{rule}</strong>: {message}. {text.plans.satisfy}: {satisfy}
        </li>
      ))}
    </ul>
  );
}
