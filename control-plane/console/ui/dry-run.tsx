/** What a plan would do, as the control plane works it out: bars, differences, and what stands in its way. */
import { useEffect, useState } from "preact/hooks";
import { Problem } from "../data/api.ts";
import { useConsole } from "../data/console.ts";
import type { DryRun, DryStep } from "../data/shapes.ts";
import { useText } from "../text/text.ts";
import { Diff } from "./diff.tsx";
import { durationText } from "./format.ts";
import { LoadBars } from "./load-bars.tsx";
import { Empty, problemText, State, Violations } from "./parts.tsx";

export interface Dry {
  readonly run: DryRun | undefined;
  readonly problem: Problem | undefined;
}

/** Milliseconds without a key. */
const PAUSE = 300;
/** Worked out anew so often (ms), and whenever something happens: the fleet moves on meanwhile. */
const ANEW = 10_000;

/** @param plan undefined: values are missing */
export function useDryRun(plan: string | undefined, values: Readonly<Record<string, string>>): Dry {
  const { api, operations, session } = useConsole();
  const written = plan === undefined ? undefined : JSON.stringify([plan, values]);
  const [seen, setSeen] = useState<{ of?: string; run?: DryRun; problem?: Problem }>({});
  useEffect(() => {
    if (plan === undefined || written === undefined) return;
    const abort = new AbortController();
    const path = `/v1/plans/${encodeURIComponent(plan)}/dry-run`;
    const look = async (): Promise<void> => {
      try {
        const run = await api.send<DryRun>("POST", path, { body: { values }, signal: abort.signal });
        setSeen({ of: written, run });
      } catch (error) {
        if (!abort.signal.aborted && error instanceof Problem) setSeen({ of: written, problem: error });
      }
    };
    const timer = window.setTimeout(() => void look(), PAUSE);
    const anew = window.setInterval(() => {
      if (document.visibilityState === "visible" && session.value.state === "on") void look();
    }, ANEW);
    const stop = operations.version.listen(() => void look());
    return () => {
      window.clearTimeout(timer);
      window.clearInterval(anew);
      stop();
      abort.abort();
    };
  }, [written]);
  const isOwn = written !== undefined && seen.of === written;
  return { run: isOwn ? seen.run : undefined, problem: isOwn ? seen.problem : undefined };
}

/** Rules that would be broken may be allowed meanwhile; what is impossible is not asked for. */
export function isRunnable({ run }: Dry): boolean {
  return run?.steps.every(({ problem }) => problem === undefined) ?? false;
}

export function DryRunView({ dry: { run, problem } }: { readonly dry: Dry }) {
  const text = useText();
  const [at, setAt] = useState<string | undefined>();
  if (problem !== undefined) {
    return (
      <div class="refusal" role="alert">
        {problemText(text, problem)}
      </div>
    );
  }
  if (run === undefined) return <Empty>{text.common.loading}</Empty>;
  const loaded = run.steps.filter(({ load }) => load !== undefined);
  const step = loaded.find(({ path }) => path === at) ?? loaded.at(-1);
  const isBad = run.steps.some((one) => one.problem !== undefined || one.violations.length > 0);
  return (
    <div class="dry-run">
      {isBad && (
        <div class="refusal" role="alert">
          {text.plans.cannotRun}
        </div>
      )}
      {run.required.map(({ holds, says }) => (
        <p key={says}>
          <State
            state={holds === null ? "unknown" : holds ? "done" : "failed"}
            word={`${says} ${holds === null ? `(${text.common.noData})` : holds ? "" : text.plans.holdsNot}`}
          />
        </p>
      ))}
      {!run.loadKnown && <p class="note tone-warn">{text.plans.noLoad}</p>}
      {step?.load !== undefined && run.loadKnown && (
        <>
          <h3>{text.plans.afterStep(`${step.path}: ${step.title}`)}</h3>
          <LoadBars before={run.before} after={step.load} />
        </>
      )}
      <ol class="dry-steps">
        {run.steps.map((one) => (
          <DryStepView
            key={one.path}
            step={one}
            isShown={one.path === step?.path}
            {...(one.load !== undefined && loaded.length > 1 ? { onShow: () => setAt(one.path) } : {})}
          />
        ))}
      </ol>
      <p class="note">
        {text.plans.takes(durationText(run.takes))}. {text.plans.assumed}: {run.assumed.join("; ")}.
      </p>
    </div>
  );
}

interface StepProps {
  readonly step: DryStep;
  readonly isShown: boolean;
  readonly onShow?: () => void;
}

const WAITS = ["gate", "approve", "hook", "wait"];

function DryStepView({ step, isShown, onShow }: StepProps) {
  const text = useText();
  const { path, title, kind, changes, violations, problem, slots, pins, takes } = step;
  const duration =
    takes === 0 ? "" : WAITS.includes(kind) ? text.plans.atMost(durationText(takes)) : durationText(takes);
  return (
    <li class={isShown ? "shown" : ""}>
      <span class="line">
        <span>
          <b>{path}</b> {title}
        </span>
        <small>{duration}</small>
      </span>
      {problem !== undefined && <div class="refusal">{problem}</div>}
      {violations.length > 0 && (
        <div class="refusal">
          <Violations of={violations} />
        </div>
      )}
      <span class="line">
        {slots + pins > 0 && <small>{text.plans.moves(slots, pins)}</small>}
        {onShow !== undefined && !isShown && (
          <button type="button" class="link" onClick={onShow}>
            {text.plans.afterStep(path)}
          </button>
        )}
      </span>
      {changes.length > 0 && (
        <details open={changes.length <= 6}>
          <summary>{text.plans.changes(changes.length)}</summary>
          <Diff of={changes} />
        </details>
      )}
    </li>
  );
}
