/** A plan's steps: as they were written, and as they go. */
import type { ComponentChildren } from "preact";
import type { WrittenStep } from "../../../model/plan.ts";
import type { Step } from "../../../model/plan-step.ts";
import type { Execution } from "../../runbook/execution.ts";
import { useText } from "../text/text.ts";
import { durationText } from "./format.ts";
import { State } from "./parts.tsx";

export function WrittenSteps({ of }: { readonly of: readonly WrittenStep[] }) {
  return (
    <ol class="steps">
      {of.map((step, i) => (
        <li key={`${i} ${Object.keys(step).join()}`}>
          {Object.entries(step).map(([field, value]) =>
            Array.isArray(value) ? (
              <div key={field}>
                <b>{field}</b>
                <WrittenSteps of={value as readonly WrittenStep[]} />
              </div>
            ) : (
              <span class="pair" key={field}>
                <b>{field}</b> <code>{String(value)}</code>
              </span>
            ),
          )}
        </li>
      ))}
    </ol>
  );
}

/** @param now milliseconds since 1970 */
export function RunningSteps({
  of,
  execution,
  now,
}: {
  readonly of: readonly Step[];
  readonly execution: Execution;
  readonly now: number;
}) {
  return (
    <ol class="steps">
      {of.map((step) => (
        <li key={step.path}>
          <RunningStep step={step} execution={execution} now={now} />
        </li>
      ))}
    </ol>
  );
}

function RunningStep({
  step,
  execution,
  now,
}: {
  readonly step: Step;
  readonly execution: Execution;
  readonly now: number;
}) {
  const text = useText();
  const run = execution.runs[step.path];
  const inner = (of: readonly Step[], name?: ComponentChildren): ComponentChildren =>
    of.length === 0 ? null : (
      <div>
        {name}
        <RunningSteps of={of} execution={execution} now={now} />
      </div>
    );
  const approvals = run?.approvals ?? [];
  return (
    <div class={`step step-${run?.state ?? "waiting"}`} data-step={step.path}>
      <span class="line">
        <span>
          <b>{step.path}</b> {step.title}
        </span>
        <State state={run?.state ?? "waiting"} />
      </span>
      {run !== undefined && (
        <small class="line">
          <span>{run.says ?? ""}</span>
          <span>{durationText((run.until ?? now) - run.since)}</span>
        </small>
      )}
      {step.kind === "approve" && run !== undefined && (
        <small>
          {text.execution.approvals(approvals.length, step.count)} ({step.role})
          {approvals.map(({ by, reason }) => ` · ${by}: ${reason}`)}
        </small>
      )}
      {(step.kind === "parallel" || step.kind === "sequence") && inner(step.steps)}
      {step.kind === "if" && inner(step.yes, <small>then</small>)}
      {step.kind === "if" && inner(step.no, <small>else</small>)}
    </div>
  );
}
