/** Figures by something: one line for each series that was counted of late. */
import type { ComponentChildren } from "preact";
import type { Series } from "../data/shapes.ts";
import { useText } from "../text/text.ts";
import { latencyText, percentText, rateText } from "./format.ts";
import { Empty } from "./parts.tsx";
import { VirtualTable } from "./virtual-table.tsx";

interface Props {
  readonly label: string;
  readonly rows: readonly Series[];
  readonly head: readonly [name: string, cell: (row: Series) => ComponentChildren];
}

export function SeriesTable({ label, rows, head }: Props) {
  const text = useText();
  if (rows.length === 0) return <Empty>{text.common.noData}</Empty>;
  const [name, cell] = head;
  return (
    <VirtualTable
      label={label}
      rows={rows}
      keyOf={({ route, unit, version }) => `${route} ${unit} ${version}`}
      columns={[
        { name, width: "minmax(8rem, 1.6fr)", cell },
        { name: text.unit.version, width: "minmax(5rem, 0.8fr)", cell: ({ version }) => version },
        { name: text.fleet.rps, width: "6rem", numeric: true, cell: ({ rps }) => rateText(rps) },
        {
          name: text.fleet.success,
          width: "6rem",
          numeric: true,
          cell: ({ successShare }) => percentText(successShare),
        },
        {
          name: text.unit.errors,
          width: "5rem",
          numeric: true,
          cell: ({ outcomes }) => rateText(outcomes.error ?? 0),
        },
        { name: text.fleet.p50, width: "5rem", numeric: true, cell: ({ p50 }) => latencyText(p50) },
        { name: text.fleet.p99, width: "5rem", numeric: true, cell: ({ p99 }) => latencyText(p99) },
      ]}
    />
  );
}
