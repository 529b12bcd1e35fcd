/** One route: what it matches, how it is kept well, and what each unit does with it. */
import { useRef, useState } from "preact/hooks";
import { useConsole, useMay } from "../data/console.ts";
import { History } from "../data/history.ts";
import { useOverlays, useResource } from "../data/resource.ts";
import type { Figures, RouteDetail, Series } from "../data/shapes.ts";
import { to } from "../router.ts";
import type { Text } from "../text/en.ts";
import { useText } from "../text/text.ts";
import { Chart } from "../ui/chart.tsx";
import { durationText, latencyText, percentText, rateText } from "../ui/format.ts";
import { LayDialog, RemoveDialog } from "../ui/overlay-dialogs.tsx";
import { Facts, Figure, Heading, Panel, State, Unread } from "../ui/parts.tsx";
import { SeriesTable } from "../ui/series-table.tsx";
import { toneOfErrors } from "./fleet.tsx";

export function RoutePage({ name }: { readonly name: string }) {
  const { fleet } = useConsole();
  const text = useText();
  const path = encodeURIComponent(name);
  const detail = useResource<RouteDetail>(`/v1/fleet/routes/${path}`, { follow: true });
  const { data } = useResource<Figures>(`/v1/figures?window=10s&route=${path}`, { every: 1_000 });
  const minute = useResource<Figures>("/v1/figures?window=1m", { every: 5_000 }).data;
  const history = useRef(new History());
  const total = data?.total ?? null;
  const last = useRef<Figures | undefined>(undefined);
  if (data !== undefined && data !== last.current) {
    last.current = data;
    const point = {
      rps: total?.rps ?? null,
      success: total?.successShare ?? null,
      p50: total?.p50 ?? null,
      p99: total?.p99 ?? null,
    };
    history.current.add(fleet.time(), [["", point]]);
  }
  if (detail.data === undefined) {
    return (
      <>
        <Heading>{name}</Heading>
        <Unread problem={detail.problem} reload={detail.reload} />
      </>
    );
  }
  const { route, limits } = detail.data;
  const { times, fields } = history.current.of("");
  const refused = (limit: string): number => minute?.limits.find((one) => one.limit === limit)?.limited ?? 0;
  return (
    <>
      <Heading side={<DegradeButton route={name} hasFallback={route.fallback !== null} />}>
        {name} {route.degraded === true && <State state="fenced" word={text.routes.degraded} />}
      </Heading>
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
        </div>
        <div class="charts">
          <Chart
            title={text.unit.load}
            times={times}
            lines={[{ name: text.fleet.rps, color: "accent", values: fields[0]!, text: rateText }]}
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
      <Panel title={text.routes.byUnit}>
        <SeriesTable
          label={text.routes.byUnit}
          rows={data?.series ?? []}
          head={[
            text.fleet.unit,
            ({ unit }: Series) =>
              unit === "" ? text.routes.notReached : <a href={to("units", unit)}>{unit}</a>,
          ]}
        />
      </Panel>
      <Panel title={text.routes.policies}>
        <Facts
          of={[
            ...policiesOf(detail.data, text),
            [
              text.routes.limits,
              limits.length === 0 ? (
                "–"
              ) : (
                <ul class="plain-list" key="limits">
                  {limits.map(({ name: limit, rate, burst, by, scope, mode }) => (
                    <li key={limit}>
                      <b>{limit}</b> {text.routes.limitLine(rate, burst, by.join(", ") || "–", scope)}{" "}
                      {mode === "dry-run" && <small class="tag">dry-run</small>}{" "}
                      {refused(limit) > 0 && (
                        <span class="tone-warn">{text.routes.refusedLast(refused(limit))}</span>
                      )}
                    </li>
                  ))}
                </ul>
              ),
            ],
          ]}
        />
      </Panel>
    </>
  );
}

function policiesOf({ route }: RouteDetail, text: Text): [string, string][] {
  const { match, service, scope, failover, priority, timeout, retry, breaker, fallback, missingKey } = route;
  const time = (value: number): string => (value === 0 ? "–" : durationText(value));
  const headers = match.headers.map(({ name, exact }) => `${name}${exact === undefined ? "" : `=${exact}`}`);
  return [
    [text.routes.match, [...match.methods, `${match.host ?? ""}${match.path}`, ...headers].join(" ")],
    [text.unit.service, service],
    [text.routes.scope, scope],
    [text.routes.failover, failover],
    [text.routes.priority, priority],
    ...(scope === "sharded" ? [[text.routes.missingKey, missingKey] as [string, string]] : []),
    [
      text.routes.timeouts,
      text.routes.timeoutLine(
        time(timeout.connect),
        time(timeout.headers),
        time(timeout.idle),
        time(timeout.total),
      ),
    ],
    [
      text.routes.retries,
      text.routes.retryLine(retry.attempts, retry.on.join(", ") || "–", percentText(retry.budget)),
    ],
    [
      text.routes.breaker,
      breaker === undefined
        ? "–"
        : text.routes.breakerLine(percentText(breaker.errors), breaker.volume, durationText(breaker.window)),
    ],
    [text.routes.fallback, fallback === null ? "–" : `${fallback.status}`],
  ];
}

function DegradeButton({ route, hasFallback }: { readonly route: string; readonly hasFallback: boolean }) {
  const text = useText();
  const isOperator = useMay("operator");
  const { data, reload } = useOverlays();
  const [open, setOpen] = useState(false);
  const laid = data?.find(
    (one) => one.for === undefined && one.change.kind === "degrade" && one.change.route === route,
  );
  if (!isOperator || data === undefined || (laid === undefined && !hasFallback)) return null;
  const close = (): void => {
    setOpen(false);
    reload();
  };
  return (
    <>
      <button type="button" onClick={() => setOpen(true)}>
        {laid === undefined ? text.routes.degrade : text.routes.restore}
      </button>
      {open && laid === undefined && (
        <LayDialog title={text.routes.degradeTitle(route)} kind="degrade" given={{ route }} onClose={close} />
      )}
      {open && laid !== undefined && <RemoveDialog overlay={laid} onClose={close} />}
    </>
  );
}
