/** One run of a plan: its steps as they go, and what one may do about it. */
import { useState } from "preact/hooks";
import type { Execution } from "../../runbook/execution.ts";
import { useConsole, useMay } from "../data/console.ts";
import { awaitedRole } from "../data/needs.ts";
import { LIVE } from "../data/operations.ts";
import { useOverlays, useResource } from "../data/resource.ts";
import { may, type Person, type Role, ROLES, type ShownOverlay } from "../data/shapes.ts";
import { to } from "../router.ts";
import type { Text } from "../text/en.ts";
import { useText } from "../text/text.ts";
import { CommandDialog } from "../ui/command-dialog.tsx";
import { durationText } from "../ui/format.ts";
import { Empty, Facts, Heading, Panel, State, Unread } from "../ui/parts.tsx";
import { RunningSteps } from "../ui/steps.tsx";
import { Moment, useTime } from "../ui/time.tsx";

type Action = keyof Text["execution"]["does"];

/** What may be commanded in which state. */
const ACTIONS: Readonly<Record<string, readonly Action[]>> = {
  running: ["approve", "pause", "abort", "revert"],
  paused: ["resume", "skip", "abort", "revert"],
  held: ["resume", "skip", "abort", "revert"],
  succeeded: ["revert"],
  aborted: ["revert"],
};
/** Entries of the timeline that are shown at once. */
const MOST_ENTRIES = 100;

export function ExecutionPage({ name }: { readonly name: string }) {
  const text = useText();
  const time = useTime();
  const [isLive, setLive] = useState(true);
  const { data, problem, reload } = useResource<Execution>(`/v1/executions/${encodeURIComponent(name)}`, {
    follow: true,
    ...(isLive ? { every: 1_000 } : {}),
  });
  const overlays = useOverlays().data ?? [];
  if (data === undefined) {
    return (
      <>
        <Heading>{name}</Heading>
        <Unread problem={problem} reload={reload} />
      </>
    );
  }
  if (isLive !== LIVE.includes(data.state)) setLive(!isLive);
  const { id, plan, owner, reason, at, endedAt, state, says, values, steps, proof, timeline } = data;
  const lies = overlays.filter((overlay) => data.overlays.includes(overlay.id));
  return (
    <>
      <Heading side={<Actions execution={data} lies={lies} onDone={reload} />}>
        <a href={to("plans", plan.name)}>{plan.name}</a> {id} <State state={state} />
      </Heading>
      {says !== undefined && <div class={state === "held" ? "refusal" : "note"}>{says}</div>}
      <Panel>
        <Facts
          of={[
            [text.common.by, owner.name],
            [text.common.reason, reason],
            [text.common.since, <Moment key="since" at={at} />],
            [text.execution.duration, durationText((endedAt ?? time) - at)],
            ...Object.entries(values).map(([parameter, value]) => [parameter, value] as const),
          ]}
        />
      </Panel>
      <div class="columns">
        <Panel title={text.execution.steps}>
          <RunningSteps of={steps} execution={data} now={time} />
        </Panel>
        <div>
          <Panel title={text.execution.overlays}>
            <Lying of={lies} />
            {proof !== undefined && (
              <p>
                <State
                  state={proof.effective === proof.without ? "done" : "failed"}
                  word={
                    proof.effective === proof.without ? text.execution.proofHolds : text.execution.proofFails
                  }
                />
              </p>
            )}
          </Panel>
          <Panel title={text.execution.timeline}>
            <ol class="timeline">
              {timeline
                .slice(-MOST_ENTRIES)
                .toReversed()
                .map(({ at: when, by, step, what }, i) => (
                  <li key={`${when} ${timeline.length - i}`}>
                    <small>
                      <Moment at={when} /> · {by}
                      {step !== undefined && ` · ${step}`}
                    </small>
                    <span>{what}</span>
                  </li>
                ))}
            </ol>
          </Panel>
        </div>
      </div>
    </>
  );
}

function Lying({ of }: { readonly of: readonly ShownOverlay[] }) {
  const text = useText();
  if (of.length === 0) return <Empty>{text.execution.nothingLies}</Empty>;
  return (
    <ul class="plain-list">
      {of.map(({ id, does }) => (
        <li key={id}>
          <a href={to("overlays")}>{id}</a> {does}
        </li>
      ))}
    </ul>
  );
}

interface ActionsProps {
  readonly execution: Execution;
  readonly lies: readonly ShownOverlay[];
  readonly onDone: () => void;
}

export function Actions({ execution, lies, onDone }: ActionsProps) {
  const { session, operations } = useConsole();
  const text = useText();
  const isOperator = useMay("operator");
  const [action, setAction] = useState<Action | undefined>();
  const { value } = session;
  const person: Person | undefined =
    value.state === "on" || value.state === "over" ? value.person : undefined;
  if (!isOperator || person === undefined) return null;
  const role = awaitedRole(execution);
  const mayApprove = role !== undefined && isRole(role) && may(person.role, role);
  const isOwn = person.name === execution.owner.name;
  const actions = (ACTIONS[execution.state] ?? []).filter(
    (one) => one !== "approve" || (mayApprove && !isOwn),
  );
  const close = (): void => setAction(undefined);
  return (
    <>
      {role !== undefined && isOwn && <small>{text.execution.ownApproval}</small>}
      {actions.map((one) => (
        <button
          key={one}
          type="button"
          class={one === "approve" ? "primary" : one === "revert" ? "danger" : ""}
          onClick={() => setAction(one)}
        >
          {text.execution[one]}
        </button>
      ))}
      {action !== undefined && (
        <ActionDialog
          action={action}
          execution={execution}
          lies={lies}
          onDone={() => {
            close();
            onDone();
            void operations.read();
          }}
          onClose={close}
        />
      )}
    </>
  );
}

function isRole(role: string): role is Role {
  return ROLES.some((one) => one === role);
}

interface DialogProps extends ActionsProps {
  readonly action: Action;
  readonly onClose: () => void;
}

function ActionDialog({ action, execution, lies, onDone, onClose }: DialogProps) {
  const text = useText();
  const time = useTime();
  // What is agreed to is what was on the screen when it was asked.
  const [digest] = useState(execution.digest);
  const { id } = execution;
  return (
    <CommandDialog
      title={`${text.execution[action]}: ${text.execution.title(execution.plan.name, id)}`}
      action={text.execution.now(text.execution[action], id)}
      danger={action === "revert" || action === "abort"}
      wide={action === "approve"}
      command={(reason) => ({
        method: "POST",
        path: `/v1/executions/${id}/${action}`,
        body: { reason, ...(action === "approve" ? { digest } : {}) },
      })}
      onDone={onDone}
      onClose={onClose}
    >
      <p>{text.execution.does[action]}</p>
      {(action === "revert" || action === "abort") && lies.length > 0 && (
        <>
          <p class="note">{action === "revert" ? text.execution.whenReverted : text.execution.overlays}</p>
          <Lying of={lies} />
        </>
      )}
      {action === "approve" && (
        <>
          <Facts
            of={[
              [text.common.by, execution.owner.name],
              [text.common.reason, execution.reason],
              ...Object.entries(execution.values).map(([parameter, value]) => [parameter, value] as const),
            ]}
          />
          <RunningSteps of={execution.steps} execution={execution} now={time} />
        </>
      )}
    </CommandDialog>
  );
}
