/** Every route, with what it is asked. */
import { useState } from "preact/hooks";
import { useResource } from "../data/resource.ts";
import type { Figures, Names, RouteLine, Series } from "../data/shapes.ts";
import { to } from "../router.ts";
import { useText } from "../text/text.ts";
import { latencyText, percentText, rateText } from "../ui/format.ts";
import { Empty, Heading, Panel, State, Unread } from "../ui/parts.tsx";
import { type Column, VirtualTable } from "../ui/virtual-table.tsx";
import { toneOfErrors } from "./fleet.tsx";

interface Sum {
  readonly rps: number;
  readonly success: number | null;
  readonly errors: number | null;
  /** Of the slowest of its series. */
  readonly p99: number | null;
}

type Row = RouteLine & { readonly sum: Sum | undefined };

export function RoutesPage() {
  const text = useText();
  const { data, problem, reload } = useResource<Names>("/v1/fleet", { follow: true });
  const figures = useResource<Figures>("/v1/figures?window=10s", { every: 2_000 }).data;
  const [filter, setFilter] = useState("");
  if (data === undefined) return <Unread problem={problem} reload={reload} />;
  const byRoute = Map.groupBy(figures?.series ?? [], ({ route }) => route);
  const rows: Row[] = data.routes
    .filter(({ name, path }) => name.includes(filter) || path.includes(filter))
    .map((route) => ({ ...route, sum: sumOf(byRoute.get(route.name)) }));
  const columns: Column<Row>[] = [
    {
      name: text.routes.route,
      width: "minmax(9rem, 1.2fr)",
      cell: ({ name, degraded }) => (
        <>
          <a href={to("routes", name)}>{name}</a>
          {degraded && <State state="fenced" word={text.routes.degraded} />}
        </>
      ),
    },
    {
      name: text.routes.match,
      width: "minmax(9rem, 1.6fr)",
      cell: ({ path, host, methods }) => (
        <code>
          {methods.length > 0 && `${methods.join(",")} `}
          {host}
          {path}
        </code>
      ),
    },
    { name: text.routes.scope, width: "6rem", cell: ({ scope }) => scope },
    { name: text.routes.priority, width: "6rem", cell: ({ priority }) => priority },
    { name: text.fleet.rps, width: "6rem", numeric: true, cell: ({ sum }) => rateText(sum?.rps) },
    {
      name: text.fleet.success,
      width: "6rem",
      numeric: true,
      cell: ({ sum }) => <span class={`tone-${toneOfErrors(sum?.errors)}`}>{percentText(sum?.success)}</span>,
    },
    { name: text.fleet.p99, width: "5rem", numeric: true, cell: ({ sum }) => latencyText(sum?.p99) },
  ];
  return (
    <>
      <Heading
        side={
          <input
            type="search"
            aria-label={text.common.filter}
            placeholder={text.common.filter}
            value={filter}
            onInput={(event) => setFilter(event.currentTarget.value)}
          />
        }
      >
        {text.routes.title}
      </Heading>
      <Panel>
        {rows.length === 0 ? (
          <Empty>{text.common.nothing}</Empty>
        ) : (
          <VirtualTable label={text.routes.title} rows={rows} keyOf={({ name }) => name} columns={columns} />
        )}
      </Panel>
    </>
  );
}

function sumOf(series: readonly Series[] | undefined): Sum | undefined {
  if (series === undefined) return undefined;
  const count = (...names: readonly string[]): number =>
    series.reduce(
      (all, { outcomes }) => all + names.reduce((sum, name) => sum + (outcomes[name] ?? 0), 0),
      0,
    );
  const served = count("success", "clientError", "error", "fallback");
  const slowest = Math.max(...series.map(({ p99 }) => p99 ?? -1));
  return {
    rps: series.reduce((all, { rps }) => all + rps, 0),
    success: served === 0 ? null : count("success") / served,
    errors: served === 0 ? null : count("error") / served,
    p99: slowest < 0 ? null : slowest,
  };
}
