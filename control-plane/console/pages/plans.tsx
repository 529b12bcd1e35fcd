/** What was written down for the night, and what of it is under way. */
import { useConsole } from "../data/console.ts";
import { LIVE } from "../data/operations.ts";
import { useList } from "../data/resource.ts";
import type { ExecutionLine, ShownPlan } from "../data/shapes.ts";
import { useStore } from "../data/store.ts";
import { to } from "../router.ts";
import { useText } from "../text/text.ts";
import { durationText } from "../ui/format.ts";
import { Empty, Heading, Panel, State, Unread, WrittenCard } from "../ui/parts.tsx";
import { Moment } from "../ui/time.tsx";
import { VirtualTable } from "../ui/virtual-table.tsx";

export function PlansPage() {
  const { operations } = useConsole();
  const text = useText();
  const { data, problem, reload } = useList<ShownPlan>("plans");
  const executions = useStore(operations.executions);
  const live = executions.filter(({ state }) => LIVE.includes(state));
  return (
    <>
      <Heading>{text.plans.title}</Heading>
      {live.length > 0 && (
        <Panel title={text.plans.live}>
          <Executions of={live} />
        </Panel>
      )}
      {data === undefined ? (
        <Unread problem={problem} reload={reload} />
      ) : data.length === 0 ? (
        <Empty>{text.plans.none}</Empty>
      ) : (
        <ul class="cards">
          {data.map(({ name, summary, owner, fits, problems, steps }) => {
            const last = executions.find(({ plan }) => plan === name);
            return (
              <WrittenCard key={name} href={to("plans", name)} of={{ name, summary, fits, problems }}>
                <span>
                  {text.common.owner}: {owner} · {text.plans.steps}: {steps.length}
                </span>
                <span>
                  {text.plans.lastRun}: {last === undefined ? text.plans.never : <Moment at={last.at} />}
                </span>
              </WrittenCard>
            );
          })}
        </ul>
      )}
      <Panel title={text.plans.history}>
        {executions.length === 0 ? <Empty>{text.plans.noHistory}</Empty> : <Executions of={executions} />}
      </Panel>
    </>
  );
}

export function Executions({ of }: { readonly of: readonly ExecutionLine[] }) {
  const text = useText();
  return (
    <VirtualTable
      label={text.plans.history}
      rows={of}
      keyOf={({ id }) => id}
      columns={[
        {
          name: text.page.executions,
          width: "minmax(10rem, 1.5fr)",
          cell: ({ id, plan }) => <a href={to("executions", id)}>{text.execution.title(plan, id)}</a>,
        },
        {
          name: text.common.state,
          width: "minmax(8rem, 1fr)",
          cell: ({ state, says }) => (
            <span title={says}>
              <State state={state} />
            </span>
          ),
        },
        {
          name: text.common.reason,
          width: "minmax(9rem, 2fr)",
          cell: ({ reason }) => <span title={reason}>{reason}</span>,
        },
        { name: text.common.by, width: "minmax(6rem, 1fr)", cell: ({ owner }) => owner.name },
        { name: text.common.since, width: "8rem", cell: ({ at }) => <Moment at={at} /> },
        {
          name: "",
          width: "7rem",
          numeric: true,
          cell: ({ at, endedAt }) =>
            endedAt === undefined ? "" : text.execution.took(durationText(endedAt - at)),
        },
      ]}
    />
  );
}
