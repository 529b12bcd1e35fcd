/** Rollouts: what is written, and how far one has come, unit by unit, canary against stable. */
import { useState } from "preact/hooks";
import { eachStep } from "../../../model/plan-step.ts";
import type { ShownRollout, UnitView } from "../../rollouts/view.ts";
import type { Execution } from "../../runbook/execution.ts";
import { useMay } from "../data/console.ts";
import { LIVE } from "../data/operations.ts";
import { useList, useOverlays, useResource } from "../data/resource.ts";
import { to } from "../router.ts";
import { useText } from "../text/text.ts";
import { Band } from "../ui/band.tsx";
import { CommandDialog } from "../ui/command-dialog.tsx";
import { durationText, latencyText, percentText } from "../ui/format.ts";
import { Empty, Facts, Heading, Panel, State, Unread, WrittenCard } from "../ui/parts.tsx";
import { Moment } from "../ui/time.tsx";
import { Actions } from "./execution.tsx";

interface View {
  readonly execution: Execution;
  readonly units: readonly UnitView[];
}

/** Of which a button promotes one. */
const WAITING = ["bake", "approve"];

export function RolloutsPage() {
  const text = useText();
  const { data, problem, reload } = useList<ShownRollout>("rollouts");
  return (
    <>
      <Heading>{text.rollouts.title}</Heading>
      <p class="lead">{text.rollouts.about}</p>
      {data === undefined ? (
        <Unread problem={problem} reload={reload} />
      ) : data.length === 0 ? (
        <Panel>
          <Empty>{text.rollouts.none}</Empty>
        </Panel>
      ) : (
        <ul class="cards">
          {data.map(({ name, summary, owner, service, fits, problems, waves }) => (
            <WrittenCard key={name} href={to("rollouts", name)} of={{ name, summary, fits, problems }}>
              <span>{service === undefined ? text.rollouts.ofRoutes : text.rollouts.of(service)}</span>
              <span>
                {waves.map((wave) => [wave].flat().join(", ")).join(" → ")} · {owner}
              </span>
            </WrittenCard>
          ))}
        </ul>
      )}
    </>
  );
}

export function RolloutPage({ name }: { readonly name: string }) {
  const text = useText();
  const isOperator = useMay("operator");
  const [isLive, setLive] = useState(true);
  const [starting, setStarting] = useState(false);
  const written = useList<ShownRollout>("rollouts");
  const { data, problem, reload } = useResource<View>(`/v1/rollouts/${encodeURIComponent(name)}`, {
    follow: true,
    ...(isLive ? { every: 1_000 } : {}),
  });
  const overlays = useOverlays().data ?? [];
  const rollout = written.data?.find((one) => one.name === name);
  const execution = data?.execution;
  const lives = execution !== undefined && LIVE.includes(execution.state);
  if (execution !== undefined && isLive !== lives) setLive(lives);
  const close = (): void => setStarting(false);
  const command = (reason: string) => ({
    method: "POST" as const,
    path: `/v1/rollouts/${encodeURIComponent(name)}/start`,
    body: { reason },
  });
  return (
    <>
      <Heading
        side={
          <>
            {isOperator && lives && <Promote execution={execution} onDone={reload} />}
            {execution !== undefined && (
              <Actions
                execution={execution}
                lies={overlays.filter(({ id }) => execution.overlays.includes(id))}
                onDone={reload}
              />
            )}
            {isOperator && !lives && rollout?.service !== undefined && (
              <button type="button" class="primary" onClick={() => setStarting(true)}>
                {text.rollouts.start}
              </button>
            )}
          </>
        }
      >
        <a href={to("rollouts")}>{text.rollouts.title}</a> {name}{" "}
        {execution !== undefined && <State state={execution.state} />}
      </Heading>
      {rollout !== undefined && (
        <Panel>
          <Written of={rollout} />
        </Panel>
      )}
      {execution?.says !== undefined && (
        <div class={execution.state === "held" ? "refusal" : "note"}>{execution.says}</div>
      )}
      {data !== undefined ? (
        <Panel
          title={text.rollouts.units}
          side={
            <>
              <a href={to("executions", data.execution.id)}>{data.execution.id}</a>
              <small>
                {data.execution.owner.name} · <Moment at={data.execution.at} />
              </small>
            </>
          }
        >
          <Units of={data.units} />
        </Panel>
      ) : problem?.status === 404 ? (
        <Empty>{text.rollouts.never}</Empty>
      ) : (
        <Unread problem={problem} reload={reload} />
      )}
      {starting && rollout !== undefined && (
        <CommandDialog
          title={text.rollouts.startTitle(name)}
          action={text.rollouts.start}
          wide
          command={rollout.fits ? command : undefined}
          onDone={() => {
            close();
            setLive(true);
            reload();
          }}
          onClose={close}
        >
          <p>{rollout.summary}</p>
          <Written of={rollout} />
        </CommandDialog>
      )}
    </>
  );
}

function Written({ of: { service, waves, steps, fits, problems } }: { readonly of: ShownRollout }) {
  const text = useText();
  return (
    <>
      {!fits && <div class="refusal">{problems.join("; ")}</div>}
      <Facts
        of={[
          ["", service === undefined ? text.rollouts.ofRoutes : text.rollouts.of(service)],
          [text.rollouts.waves, waves.map((wave) => [wave].flat().join(", ")).join(" → ")],
          [
            text.rollouts.steps,
            steps
              .map(({ share, bake }) => text.rollouts.step(percentText(share), durationText(bake)))
              .join(" → "),
          ],
        ]}
      />
    </>
  );
}

function Units({ of }: { readonly of: readonly UnitView[] }) {
  const text = useText();
  return (
    <div class="scroll">
      <table class="rollout">
        <thead>
          <tr>
            <th>{text.rollouts.wave}</th>
            <th>{text.rollouts.unit}</th>
            <th>{text.common.state}</th>
            <th>{text.rollouts.canary}</th>
            <th>{text.rollouts.failed}</th>
            <th>{text.rollouts.latency}</th>
          </tr>
        </thead>
        <tbody>
          {of.map(({ wave, unit, state, share, step, says, assessment, left }) => (
            <tr key={unit}>
              <td>{wave}</td>
              <td>
                <a href={to("units", unit)}>{unit}</a>
              </td>
              <td>
                <State state={state} word={text.rollouts.states[state] ?? state} />{" "}
                <small>
                  {left === null
                    ? (step ?? "")
                    : left > 0
                      ? text.rollouts.bakes(durationText(left))
                      : text.rollouts.evidence}
                </small>
              </td>
              <td>
                <progress max={1} value={share} aria-label={text.rollouts.canary} /> {percentText(share)}
              </td>
              {assessment === null ? (
                <td colSpan={2}>{says}</td>
              ) : (
                <>
                  <td>
                    <Band of={assessment.errors} kind="difference" show={percentText} />
                  </td>
                  <td>
                    <Band
                      of={assessment.latency}
                      kind="ratio"
                      show={(seconds) => latencyText(seconds * 1_000)}
                    />
                    <br />
                    <State state={assessment.verdict} word={assessment.reason} />
                  </td>
                </>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface PromoteProps {
  readonly execution: Execution;
  readonly onDone: () => void;
}

/** One button for each bake or approval under way: several units may be. */
function Promote({ execution, onDone }: PromoteProps) {
  const text = useText();
  const [asked, setAsked] = useState<{ path: string; title: string } | undefined>();
  const { id, steps, runs } = execution;
  const waiting = [...eachStep(steps)].filter(
    ({ path, kind }) => WAITING.includes(kind) && runs[path]?.state === "running",
  );
  return (
    <>
      {waiting.map(({ path, title }) => (
        <button key={path} type="button" onClick={() => setAsked({ path, title })}>
          {text.rollouts.promote}: {title}
        </button>
      ))}
      {asked !== undefined && (
        <CommandDialog
          title={text.rollouts.promoteTitle(asked.title)}
          action={text.rollouts.promote}
          command={(reason) => ({
            method: "POST",
            path: `/v1/executions/${id}/skip`,
            body: { reason, step: asked.path },
          })}
          onDone={() => {
            setAsked(undefined);
            onDone();
          }}
          onClose={() => setAsked(undefined)}
        >
          <p>{text.rollouts.promoteHint}</p>
        </CommandDialog>
      )}
    </>
  );
}
