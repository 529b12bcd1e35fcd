/** A table of as many rows as there are, of which only those in sight are drawn. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

export interface Column<Row> {
  readonly name: string;
  /** CSS grid width. */
  readonly width: string;
  readonly numeric?: boolean;
  readonly cell: (row: Row) => ComponentChildren;
}

interface Props<Row> {
  readonly label: string;
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row) => string;
  readonly columns: readonly Column<Row>[];
  /** Pixels of one row. */
  readonly height?: number;
}

/** Rows beyond what is in sight. */
const SPARE = 8;
/** As many are drawn whole. */
const FEW = 60;

export function VirtualTable<Row>({ label, rows, keyOf, columns, height = 36 }: Props<Row>) {
  const box = useRef<HTMLDivElement>(null);
  const [[top, seen], setSight] = useState([0, 640]);
  const isFew = rows.length <= FEW;
  useEffect(() => {
    const element = box.current;
    if (element === null || isFew) return;
    const look = (): void => setSight([element.scrollTop, element.clientHeight]);
    look();
    element.addEventListener("scroll", look, { passive: true });
    const observer = new ResizeObserver(look);
    observer.observe(element);
    return () => {
      element.removeEventListener("scroll", look);
      observer.disconnect();
    };
  }, [isFew]);
  const first = isFew ? 0 : Math.max(0, Math.floor(top / height) - SPARE);
  const last = isFew ? rows.length : Math.min(rows.length, Math.ceil((top + seen) / height) + SPARE);
  const template = { "--columns": columns.map(({ width }) => width).join(" ") };
  return (
    <div class={isFew ? "virtual" : "virtual tall"} ref={box} tabIndex={isFew ? -1 : 0}>
      {/* biome-ignore lint/a11y/useSemanticElements: a table's rows cannot be placed. */}
      <div role="table" aria-label={label} aria-rowcount={rows.length + 1}>
        {/* biome-ignore lint/a11y/useSemanticElements: the same. */}
        <div role="row" class="row head" style={template} aria-rowindex={1} tabIndex={-1}>
          {columns.map(({ name, numeric }) => (
            // biome-ignore lint/a11y/useSemanticElements: the same.
            <span role="columnheader" key={name} class={numeric ? "number" : ""} tabIndex={-1}>
              {name}
            </span>
          ))}
        </div>
        <div style={{ height: `${first * height}px` }} aria-hidden="true" />
        {rows.slice(first, last).map((row, i) => (
          // biome-ignore lint/a11y/useSemanticElements: the same.
          <div
            role="row"
            class="row"
            key={keyOf(row)}
            style={isFew ? template : { ...template, height: `${height}px` }}
            aria-rowindex={first + i + 2}
            tabIndex={-1}
          >
            {columns.map(({ name, numeric, cell }) => (
              // biome-ignore lint/a11y/useSemanticElements: the same.
              <span role="cell" key={name} class={numeric ? "number" : ""} data-name={name}>
                {cell(row)}
              </span>
            ))}
          </div>
        ))}
        <div style={{ height: `${(rows.length - last) * height}px` }} aria-hidden="true" />
      </div>
    </div>
  );
}
