/** All of it at a glance: regions and units, what each does right now, and where requests go instead. */
import type { FedUnit, FleetNow } from "../../fleet-now.ts";
import { useState } from "preact/hooks";
import { useConsole } from "../data/console.ts";
import { stateOf } from "../../fleet-now.ts";
import { ALL } from "../data/fleet.ts";
import { useStore } from "../data/store.ts";
import { to } from "../router.ts";
import { useText } from "../text/text.ts";
import { Chart } from "../ui/chart.tsx";
import { FleetMap } from "../ui/fleet-map.tsx";
import { durationText, latencyText, percentText, rateText } from "../ui/format.ts";
import { Empty, Figure, Heading, Panel, State, toneOf } from "../ui/parts.tsx";
import { type Column, VirtualTable } from "../ui/virtual-table.tsx";

export function FleetPage() {
  const { fleet } = useConsole();
  const text = useText();
  const now = useStore(fleet.now);
  const [view, setView] = useState<"map" | "list">("map");
  const [onlyOdd, setOnlyOdd] = useState(false);
  const [filter, setFilter] = useState("");
  if (now === undefined) return <Empty>{text.common.loading}</Empty>;
  const wanted = now.units.filter(
    (unit) =>
      (!onlyOdd || stateOf(unit) !== "well") && (unit.unit.includes(filter) || unit.region.includes(filter)),
  );
  const { total } = now;
  return (
    <>
      <Heading side={<Convergence now={now} />}>{text.fleet.title}</Heading>
      {!now.leads && <p class="note">{text.fleet.notLeading}</p>}
      <Panel>
        <div class="figures">
          <Figure name={text.fleet.rps} value={rateText(total?.rps)} />
          <Figure
            name={text.fleet.success}
            value={percentText(total?.successShare)}
            tone={toneOfErrors(total?.errorShare)}
          />
          <Figure name={text.fleet.p50} value={latencyText(total?.p50)} />
          <Figure name={text.fleet.p99} value={latencyText(total?.p99)} />
          <Figure name={text.fleet.units(now.units.length)} value={`${now.units.filter(isWell).length} ✓`} />
          <TotalChart />
        </div>
      </Panel>
      <Panel
        title={view === "map" ? text.fleet.map : text.fleet.list}
        side={
          <>
            {(now.units.length > 12 || filter !== "") && (
              <input
                type="search"
                aria-label={text.common.filter}
                placeholder={text.common.filter}
                value={filter}
                onInput={(event) => setFilter(event.currentTarget.value)}
              />
            )}
            <label class="check">
              <input
                type="checkbox"
                checked={onlyOdd}
                onChange={(event) => setOnlyOdd(event.currentTarget.checked)}
              />
              {text.fleet.onlyOdd}
            </label>
            <fieldset class="segments">
              {(["map", "list"] as const).map((one) => (
                <button key={one} type="button" aria-pressed={view === one} onClick={() => setView(one)}>
                  {text.fleet[one]}
                </button>
              ))}
            </fieldset>
          </>
        }
      >
        {wanted.length === 0 ? (
          <Empty>{onlyOdd && filter === "" ? text.fleet.allWell : text.common.nothing}</Empty>
        ) : view === "map" ? (
          <FleetMap units={wanted} flows={now.flows} history={fleet.history} />
        ) : (
          <UnitList units={wanted} />
        )}
      </Panel>
      <GatewayPanel now={now} />
    </>
  );
}

function isWell(unit: FedUnit): boolean {
  return stateOf(unit) === "well";
}

export function toneOfErrors(share: number | null | undefined): string {
  if (share === null || share === undefined) return "none";
  return share > 0.05 ? "bad" : share > 0.01 ? "warn" : "none";
}

/** Whether what was published last is served everywhere. */
export function Convergence({ now }: { readonly now: FleetNow }) {
  const text = useText();
  const live = now.gateways.filter((gateway) => gateway.live);
  const revision = now.revision ?? 0;
  const served = live.filter((gateway) => gateway.revision >= revision).length;
  if (live.length === 0) return <State state="unknown" word={text.fleet.noGateways} />;
  const isWhole = served === live.length;
  const words = isWhole
    ? text.fleet.converged(live.length, revision)
    : text.fleet.converging(served, live.length, revision);
  return <State state={isWhole ? "done" : "paused"} word={words} />;
}

function TotalChart() {
  const { fleet } = useConsole();
  const text = useText();
  const { times, fields } = fleet.history.of(ALL);
  return (
    <div class="grow">
      <Chart
        title={text.fleet.rps}
        times={times}
        height={96}
        lines={[{ name: text.fleet.rps, color: "accent", values: fields[0]!, text: rateText }]}
      />
    </div>
  );
}

function UnitList({ units }: { readonly units: readonly FedUnit[] }) {
  const text = useText();
  const columns: Column<FedUnit>[] = [
    {
      name: text.fleet.unit,
      width: "minmax(7rem, 1.4fr)",
      cell: ({ unit }) => <a href={to("units", unit)}>{unit}</a>,
    },
    { name: text.fleet.region, width: "minmax(6rem, 1fr)", cell: ({ region }) => region },
    { name: text.common.state, width: "minmax(7rem, 1fr)", cell: (unit) => <State state={stateOf(unit)} /> },
    { name: text.fleet.rps, width: "6rem", numeric: true, cell: ({ rate }) => rateText(rate) },
    {
      name: text.fleet.success,
      width: "6rem",
      numeric: true,
      cell: ({ figure }) => (
        <span class={`tone-${toneOfErrors(figure?.errorShare)}`}>{percentText(figure?.successShare)}</span>
      ),
    },
    { name: text.fleet.p99, width: "5.5rem", numeric: true, cell: ({ figure }) => latencyText(figure?.p99) },
    {
      name: text.fleet.load,
      width: "6.5rem",
      numeric: true,
      cell: ({ rate, capacity }) => percentText(rate === null || capacity === null ? null : rate / capacity),
    },
    { name: text.fleet.inflight, width: "6rem", numeric: true, cell: ({ inflight }) => rateText(inflight) },
  ];
  return <VirtualTable label={text.fleet.list} rows={units} keyOf={({ unit }) => unit} columns={columns} />;
}

export function GatewayPanel({ now }: { readonly now: FleetNow }) {
  const text = useText();
  const revision = now.revision ?? 0;
  return (
    <Panel title={text.fleet.gateways}>
      {now.gateways.length === 0 ? (
        <Empty>{text.fleet.noGateways}</Empty>
      ) : (
        <ul class="gateways">
          {now.gateways.map(({ gateway, live, heardAt, revision: served, refused }) => {
            const isRefusing = refused !== null && refused.revision >= revision;
            const state = !live ? "unknown" : isRefusing ? "failed" : served < revision ? "paused" : "done";
            const word = !live
              ? text.fleet.gone(durationText(now.now - heardAt))
              : isRefusing
                ? text.fleet.refuses(refused.revision)
                : text.fleet.serves(served);
            return (
              <li key={gateway} class={`tone-${toneOf(state)}`}>
                <b>{gateway}</b>
                <State state={state} word={word} />
                {isRefusing && <small>{refused.reasons.join("; ")}</small>}
              </li>
            );
          })}
        </ul>
      )}
    </Panel>
  );
}
