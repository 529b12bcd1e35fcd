/** What fires: the worst first, who looks after it, and the plan that was written for it. */
import { useState } from "preact/hooks";
import { useMay } from "../data/console.ts";
import { useResource } from "../data/resource.ts";
import type { ShownAlert } from "../data/shapes.ts";
import { to } from "../router.ts";
import { useText } from "../text/text.ts";
import { CommandDialog } from "../ui/command-dialog.tsx";
import { Empty, Facts, Heading, Panel, State, Unread } from "../ui/parts.tsx";
import { Moment } from "../ui/time.tsx";

interface Alerts {
  readonly alerts: readonly ShownAlert[];
  readonly rules: readonly { readonly name: string; readonly kind: string }[];
  readonly channels: readonly {
    readonly name: string;
    readonly kind: string;
    readonly problem: string | null;
  }[];
}

export function AlertsPage() {
  const text = useText();
  const [all, setAll] = useState(false);
  const { data, problem, reload } = useResource<Alerts>(`/v1/alerts${all ? "?all=true" : ""}`, {
    follow: true,
    every: 2_000,
  });
  return (
    <>
      <Heading
        side={
          <label class="check">
            <input type="checkbox" checked={all} onChange={(event) => setAll(event.currentTarget.checked)} />
            {text.alerts.ended}
          </label>
        }
      >
        {text.alerts.title}
      </Heading>
      <p class="lead">{text.alerts.about}</p>
      {data === undefined ? (
        <Unread problem={problem} reload={reload} />
      ) : (
        <>
          {data.alerts.length === 0 ? (
            <Panel>
              <Empty>{text.alerts.none}</Empty>
            </Panel>
          ) : (
            <ul class="cards">
              {data.alerts.map((alert) => (
                <li key={alert.id}>
                  <Card of={alert} onDone={reload} />
                </li>
              ))}
            </ul>
          )}
          <div class="columns">
            <Panel title={text.alerts.rules}>
              <Facts of={data.rules.map(({ name, kind }) => [name, kind])} />
            </Panel>
            <Panel title={text.alerts.channels}>
              <Facts
                of={data.channels.map(({ name, kind, problem: wrong }) => [
                  name,
                  wrong === null ? kind : <State key={name} state="failed" word={`${kind}: ${wrong}`} />,
                ])}
              />
            </Panel>
          </div>
        </>
      )}
    </>
  );
}

function Card({ of, onDone }: { readonly of: ShownAlert; readonly onDone: () => void }) {
  const text = useText();
  const isOperator = useMay("operator");
  const [asked, setAsked] = useState(false);
  const { rule, labels, severity, state, since, summary, seen, noData, ack, plan, run } = of;
  const named = Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(", ");
  return (
    <div class="card">
      <span class="line">
        <b class="title">
          {rule} {named !== "" && <small>{named}</small>}
        </b>
        <State state={state} word={`${text.alerts.states[state] ?? state} (${severity})`} />
      </span>
      <span>{summary}</span>
      <span>{noData ? text.alerts.noData : seen}</span>
      {of.silencedBy !== null && <small>{text.alerts.silenced}</small>}
      {of.inhibitedBy !== null && <small>{text.alerts.inhibited(of.inhibitedBy.rule)}</small>}
      {ack !== null && (
        <small>
          <State state="done" word={text.alerts.acknowledged(ack.by, ack.reason)} /> <Moment at={ack.at} />
        </small>
      )}
      <span class="line">
        <span class="side">
          {plan !== null && <a href={planLink(plan)}>{text.alerts.plan(plan.name)}</a>}
          {run !== null &&
            (run.execution === undefined ? (
              <small title={run.says ?? ""}>{text.alerts.ran(run.state)}</small>
            ) : (
              <a href={to("executions", run.execution)}>{text.alerts.ran(run.state)}</a>
            ))}
          {isOperator && state === "firing" && ack === null && (
            <button type="button" class="small" onClick={() => setAsked(true)}>
              {text.alerts.acknowledge}
            </button>
          )}
        </span>
        <small>
          <Moment at={since} />
        </small>
      </span>
      {asked && (
        <CommandDialog
          title={text.alerts.acknowledgeTitle(rule)}
          action={text.alerts.acknowledge}
          command={(reason) => ({ method: "POST", path: `/v1/alerts/${of.id}/ack`, body: { reason } })}
          onDone={() => {
            setAsked(false);
            onDone();
          }}
          onClose={() => setAsked(false)}
        >
          <p>{text.alerts.acknowledgeHint}</p>
          <p>{summary}</p>
        </CommandDialog>
      )}
    </div>
  );
}

/** With its parameters filled in. */
function planLink({ name, values }: NonNullable<ShownAlert["plan"]>): string {
  const query = new URLSearchParams(values).toString();
  return `${to("plans", name)}${query === "" ? "" : `?${query}`}`;
}
