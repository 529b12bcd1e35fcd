/** One unit: what it is asked, what it bears, and everything about it that is not as it should be. */
import { useState } from "preact/hooks";
import { useConsole, useMay } from "../data/console.ts";
import { stateOf } from "../../fleet-now.ts";
import { useOverlays, useResource } from "../data/resource.ts";
import type { Figures, Series, UnitDetail } from "../data/shapes.ts";
import { useStore } from "../data/store.ts";
import { to } from "../router.ts";
import { useText } from "../text/text.ts";
import { Chart } from "../ui/chart.tsx";
import { latencyText, percentText, rateText } from "../ui/format.ts";
import { LayDialog, RemoveDialog } from "../ui/overlay-dialogs.tsx";
import { Empty, Facts, Figure, Heading, Panel, State, Unread } from "../ui/parts.tsx";
import { SeriesTable } from "../ui/series-table.tsx";
import { toneOfErrors } from "./fleet.tsx";

export function UnitPage({ name }: { readonly name: string }) {
  const { fleet } = useConsole();
  const text = useText();
  const path = encodeURIComponent(name);
  const unit = useStore(fleet.now, (now) => now?.units.find((one) => one.unit === name));
  const detail = useResource<UnitDetail>(`/v1/fleet/units/${path}`, { every: 2_000, follow: true });
  const figures = useResource<Figures>(`/v1/figures?window=10s&unit=${path}`, { every: 1_000 });
  const minute = useResource<Figures>(`/v1/figures?window=1m&unit=${path}`, { every: 5_000 });
  if (detail.data === undefined || unit === undefined) {
    return (
      <>
        <Heading>{name}</Heading>
        <Unread problem={detail.problem} reload={detail.reload} />
      </>
    );
  }
  const { times, fields } = fleet.history.of(name);
  const { figure, capacity, rate, inflight } = unit;
  const outcomes = minute.data?.total?.outcomes ?? {};
  return (
    <>
      <Heading side={<DrainButton unit={name} />}>
        {name} <State state={stateOf(unit)} />
      </Heading>
      <Panel>
        <div class="figures">
          <Figure name={text.fleet.rps} value={rateText(rate)} />
          <Figure
            name={text.fleet.success}
            value={percentText(figure?.successShare)}
            tone={toneOfErrors(figure?.errorShare)}
          />
          <Figure name={text.fleet.p50} value={latencyText(figure?.p50)} />
          <Figure name={text.fleet.p99} value={latencyText(figure?.p99)} />
          <Figure
            name={capacity === null ? text.fleet.noCapacity : `${text.fleet.load} (${rateText(capacity)}/s)`}
            value={percentText(rate === null || capacity === null ? null : rate / capacity)}
          />
          <Figure name={text.fleet.inflight} value={rateText(inflight)} />
        </div>
        <div class="charts">
          <Chart
            title={text.unit.load}
            times={times}
            lines={[{ name: text.fleet.rps, color: "accent", values: fields[0]!, text: rateText }]}
          />
          <Chart
            title={text.fleet.success}
            times={times}
            most={1}
            lines={[{ name: text.fleet.success, color: "ok", values: fields[1]!, text: percentText }]}
          />
          <Chart
            title={text.unit.latency}
            times={times}
            lines={[
              { name: text.fleet.p99, color: "accent", values: fields[3]!, text: latencyText },
              { name: text.fleet.p50, color: "calm", values: fields[2]!, text: latencyText },
            ]}
          />
        </div>
      </Panel>
      <div class="columns">
        <Panel title={text.unit.endpoints}>
          <Endpoints detail={detail.data} />
        </Panel>
        <Panel title={text.unit.breakers}>
          <Breakers detail={detail.data} />
          <h3>{text.unit.turnedAway}</h3>
          <Facts
            of={[
              [text.unit.limited, rateText(outcomes.limited ?? 0)],
              [text.unit.shed, rateText(outcomes.shed ?? 0)],
              [text.unit.fallback, rateText(outcomes.fallback ?? 0)],
              [text.unit.errors, rateText(outcomes.error ?? 0)],
            ]}
          />
          <h3>{text.unit.failover}</h3>
          <p>{namesOf(detail.data.unit.failover)}</p>
          <Facts
            of={[
              [
                text.fleet.slots,
                `${unit.slots}${unit.fenced > 0 ? ` (${unit.fenced} ${text.state.fenced})` : ""}`,
              ],
              [text.unit.concurrency, `${detail.data.unit.inflight} (${detail.data.unit.concurrency})`],
            ]}
          />
        </Panel>
      </div>
      <Panel title={text.unit.routes}>
        <SeriesTable
          label={text.unit.routes}
          rows={figures.data?.series ?? []}
          head={[text.routes.route, ({ route }: Series) => <a href={to("routes", route)}>{route}</a>]}
        />
      </Panel>
    </>
  );
}

/** Of a thousand, the first few are ever used. */
function namesOf(names: readonly string[]): string {
  return names.length > 12
    ? `${names.slice(0, 12).join(" → ")} → … (${names.length})`
    : names.join(" → ") || "–";
}

function Endpoints({ detail: { services, pools } }: { readonly detail: UnitDetail }) {
  const text = useText();
  if (services.length === 0) return <Empty>{text.common.nothing}</Empty>;
  return (
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">{text.unit.service}</th>
            <th scope="col">{text.unit.version}</th>
            <th scope="col">{text.unit.endpoints}</th>
            <th scope="col">{text.common.state}</th>
          </tr>
        </thead>
        <tbody>
          {services.flatMap(({ service, drained = [], canaryShare, ...versions }) =>
            (["stable", "canary"] as const)
              .filter((version) => versions[version].length > 0)
              .map((version) => {
                const pool = pools?.find((one) => one.service === service && one.version === version);
                return (
                  <tr key={`${service} ${version}`}>
                    <th scope="row">{service}</th>
                    <td>
                      {version}
                      {version === "canary" && <small> {text.unit.canary(percentText(canaryShare))}</small>}
                    </td>
                    <td>
                      <ul class="plain-list">
                        {versions[version].map((endpoint) => (
                          <li key={endpoint}>
                            <code>{endpoint}</code>
                            {drained.includes(endpoint) && <small> {text.unit.drainedEndpoint}</small>}
                          </li>
                        ))}
                      </ul>
                    </td>
                    <td>
                      {pools === null ? (
                        <State state="unknown" />
                      ) : pool === undefined ? (
                        <State state="well" word={text.unit.allUsable} />
                      ) : (
                        <State
                          state={pool.usable === 0 ? "down" : "busy"}
                          word={text.unit.usableOf(pool.usable, pool.total, pool.seenBy)}
                        />
                      )}
                    </td>
                  </tr>
                );
              }),
          )}
        </tbody>
      </table>
    </div>
  );
}

function Breakers({ detail: { breakers } }: { readonly detail: UnitDetail }) {
  const text = useText();
  if (breakers === null) return <State state="unknown" />;
  if (breakers.length === 0) return <State state="closed" word={text.unit.breakersClosed} />;
  return (
    <ul class="plain-list">
      {breakers.map(({ service, state, forced }) => (
        <li key={service}>
          <b>{service}</b> <State state={state} />
          {forced !== null && <small> {text.unit.forced(forced)}</small>}
        </li>
      ))}
    </ul>
  );
}

function DrainButton({ unit }: { readonly unit: string }) {
  const text = useText();
  const isOperator = useMay("operator");
  const { data, reload } = useOverlays();
  const [open, setOpen] = useState(false);
  if (!isOperator || data === undefined) return null;
  const drain = data.find(
    (one) => one.for === undefined && one.change.kind === "drain" && one.change.unit === unit,
  );
  const close = (): void => {
    setOpen(false);
    reload();
  };
  return (
    <>
      <button type="button" onClick={() => setOpen(true)}>
        {drain === undefined ? text.unit.drain : text.unit.undrain}
      </button>
      {open && drain === undefined && (
        <LayDialog title={text.unit.drainTitle(unit)} kind="drain" given={{ unit }} onClose={close} />
      )}
      {open && drain !== undefined && (
        <RemoveDialog title={text.unit.undrainTitle(unit)} overlay={drain} onClose={close} />
      )}
    </>
  );
}
