/** One plan: read, tried, run. */
import { useState } from "preact/hooks";
import type { PlanParameter } from "../../../model/plan.ts";
import { useConsole, useMay } from "../data/console.ts";
import { useList, useResource } from "../data/resource.ts";
import type { Names, ShownPlan } from "../data/shapes.ts";
import { useStore } from "../data/store.ts";
import { place, to } from "../router.ts";
import { useText } from "../text/text.ts";
import { CommandDialog } from "../ui/command-dialog.tsx";
import { DryRunView, isRunnable, useDryRun } from "../ui/dry-run.tsx";
import { Choice, Entry } from "../ui/fields.tsx";
import { durationText } from "../ui/format.ts";
import { Empty, Facts, Heading, Panel, State, Unread } from "../ui/parts.tsx";
import { WrittenSteps } from "../ui/steps.tsx";
import { Executions } from "./plans.tsx";

type Values = Readonly<Record<string, string>>;

export function PlanPage({ name }: { readonly name: string }) {
  const { operations } = useConsole();
  const text = useText();
  const { data, problem, reload } = useList<ShownPlan>("plans");
  const names = useResource<Names>("/v1/fleet", { follow: true }).data;
  const executions = useStore(operations.executions).filter(({ plan }) => plan === name);
  // A link may bring what an alert filled in.
  const [typed, setTyped] = useState<Values>(() => Object.fromEntries(place.value.query));
  const [running, setRunning] = useState(false);
  const isOperator = useMay("operator");
  const plan = data?.find((one) => one.name === name);
  const answerOf = (parameter: PlanParameter): string =>
    typed[parameter.name] ?? firstValue(parameter, names);
  const values = Object.fromEntries(
    (plan?.parameters ?? [])
      .map((one) => [one.name, answerOf(one).trim()] as const)
      .filter(([, value]) => value !== ""),
  );
  const isWhole =
    plan !== undefined &&
    names !== undefined &&
    plan.parameters.every((one) => values[one.name] !== undefined);
  const dry = useDryRun(isWhole ? name : undefined, values);
  if (plan === undefined) {
    return (
      <>
        <Heading>{name}</Heading>
        {data === undefined ? (
          <Unread problem={problem} reload={reload} />
        ) : (
          <Empty>{text.plans.unknown(name)}</Empty>
        )}
      </>
    );
  }
  return (
    <>
      <Heading
        side={
          <>
            <State
              state={plan.fits ? "done" : "failed"}
              word={plan.fits ? text.plans.fits : text.plans.misfits}
            />
            {isOperator && (
              <button type="button" class="primary" disabled={!isWhole} onClick={() => setRunning(true)}>
                {text.plans.run}
              </button>
            )}
          </>
        }
      >
        {name}
      </Heading>
      <p class="lead">{plan.summary}</p>
      {plan.kind === "failover" && <p class="note tone-warn">{text.plans.mayLose}</p>}
      {!plan.fits && <div class="refusal">{plan.problems.join("; ")}</div>}
      <div class="columns">
        <div>
          <Panel title={text.plans.parameters}>
            {plan.parameters.length === 0 ? (
              <Empty>{text.plans.noParameters}</Empty>
            ) : (
              <div class="form">
                {plan.parameters.map((parameter) => (
                  <ParameterField
                    key={parameter.name}
                    parameter={parameter}
                    names={names}
                    value={answerOf(parameter)}
                    onChange={(value) => setTyped({ ...typed, [parameter.name]: value })}
                  />
                ))}
              </div>
            )}
          </Panel>
          <Panel title={text.plans.steps}>
            <Conditions title={text.plans.require} of={plan.require} />
            <WrittenSteps of={plan.steps} />
            <Conditions title={text.plans.success} of={plan.success} />
            <p class="note">
              {text.plans.onFailure[plan.onFailure]}{" "}
              {plan.expires !== undefined &&
                text.plans.expires(durationText(plan.expires.after), plan.expires.end)}
            </p>
            <Facts of={[[text.common.owner, plan.owner]]} />
          </Panel>
        </div>
        <Panel title={text.plans.dryRun}>
          <DryRunView dry={dry} />
        </Panel>
      </div>
      {executions.length > 0 && (
        <Panel title={text.plans.history}>
          <Executions of={executions} />
        </Panel>
      )}
      {running && <RunDialog plan={name} values={values} onClose={() => setRunning(false)} />}
    </>
  );
}

/** What is asked is answered by what would happen, worked out when the question is put. */
function RunDialog({
  plan,
  values,
  onClose,
}: {
  readonly plan: string;
  readonly values: Values;
  readonly onClose: () => void;
}) {
  const { operations } = useConsole();
  const text = useText();
  const dry = useDryRun(plan, values);
  return (
    <CommandDialog<{ id: string }>
      title={text.plans.runTitle(plan)}
      action={text.plans.runNow(plan)}
      wide
      command={
        isRunnable(dry)
          ? (reason) => ({ method: "POST", path: "/v1/executions", body: { plan, values, reason } })
          : undefined
      }
      onDone={({ id }) => {
        void operations.read();
        location.hash = to("executions", id);
      }}
      onClose={onClose}
    >
      <p>{text.plans.runHint}</p>
      {Object.keys(values).length > 0 && (
        <Facts
          of={Object.entries(values).map(([parameter, value]) => [
            parameter,
            <code key={parameter}>{value}</code>,
          ])}
        />
      )}
      <DryRunView dry={dry} />
    </CommandDialog>
  );
}

function Conditions({ title, of }: { readonly title: string; readonly of: readonly string[] }) {
  if (of.length === 0) return null;
  return (
    <>
      <h3>{title}</h3>
      <ul class="plain-list">
        {of.map((condition) => (
          <li key={condition}>
            <code>{condition}</code>
          </li>
        ))}
      </ul>
    </>
  );
}

interface FieldProps {
  readonly parameter: PlanParameter;
  readonly names: Names | undefined;
  readonly value: string;
  readonly onChange: (value: string) => void;
}

function ParameterField({ parameter, names, value, onChange }: FieldProps) {
  const text = useText();
  const { name, summary, min, max } = parameter;
  const range = min === undefined && max === undefined ? "" : text.plans.range(min ?? "…", max ?? "…");
  const hint = [summary, range].filter((part) => part !== "").join(" · ");
  const options = optionsOf(parameter, names);
  return options === undefined ? (
    <Entry label={name} hint={hint} value={value} onChange={onChange} />
  ) : (
    <Choice label={name} hint={hint} value={value} options={options} onChange={onChange} />
  );
}

function optionsOf(
  { type, allowed }: PlanParameter,
  names: Names | undefined,
): readonly string[] | undefined {
  if (allowed !== undefined) return allowed;
  if (names === undefined) return undefined;
  switch (type) {
    case "unit":
      return names.units;
    case "region":
      return names.regions;
    case "route":
      return names.routes.map((route) => route.name);
    case "service":
      return names.services;
    case "limit":
      return names.limits;
    default:
      return undefined;
  }
}

function firstValue(parameter: PlanParameter, names: Names | undefined): string {
  return parameter.default ?? optionsOf(parameter, names)?.[0] ?? "";
}
