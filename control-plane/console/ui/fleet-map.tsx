/**
 * Regions, and their units in them. Few units are tiles that say everything; many are cells, and those that are not well
 * stand first. Arrows say where requests go in place of a unit that does not take them.
 */
import type { FedUnit } from "../../fleet-now.ts";
import type { Flow } from "../../fleet-units.ts";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { stateOf, type UnitState } from "../../fleet-now.ts";
import type { History } from "../data/history.ts";
import { to } from "../router.ts";
import { stateText, useText } from "../text/text.ts";
import { Spark } from "./chart.tsx";
import { latencyText, percentText, rateText } from "./format.ts";
import { State, toneOf } from "./parts.tsx";

/** More units are cells. */
const MOST_TILES = 36;
/** Arrows beyond this are a knot. */
const MOST_FLOWS = 24;
/** Units that are named among many. */
const MOST_NAMED = 12;
const WORST: readonly UnitState[] = ["down", "busy", "fenced", "draining", "drained", "unknown", "well"];

interface Props {
  readonly units: readonly FedUnit[];
  readonly flows: readonly Flow[];
  readonly history: History;
}

export function FleetMap({ units, flows, history }: Props) {
  const text = useText();
  const box = useRef<HTMLDivElement>(null);
  const regions = [...Map.groupBy(units, ({ region }) => region)];
  const areTiles = units.length <= MOST_TILES;
  const shown = flows.slice(0, MOST_FLOWS);
  return (
    <div
      class={`map ${areTiles ? "tiles" : "cells"}${areTiles && shown.length > 0 ? " flowing" : ""}`}
      ref={box}
    >
      {!areTiles && <Odd units={units} />}
      {regions.map(([region, own]) => (
        <section key={region} class="region" aria-label={region}>
          <h3>
            {region} <small>{text.fleet.units(own.length)}</small>
          </h3>
          {areTiles ? (
            <div class="units">
              {own.map((unit) => (
                <Tile key={unit.unit} unit={unit} values={history.of(unit.unit).fields[0]!} />
              ))}
            </div>
          ) : (
            <Cells units={own} />
          )}
        </section>
      ))}
      {areTiles && <Arrows box={box} flows={shown} />}
      {shown.length > 0 && (
        <ul class="flows">
          {shown.map(({ from, to: other, share, cause }) => (
            <li key={from}>
              <State
                state={cause === "drain" ? "draining" : "down"}
                word={text.fleet.flow(from, other, percentText(share))}
              />
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Tile({ unit, values }: { readonly unit: FedUnit; readonly values: readonly (number | null)[] }) {
  const text = useText();
  const state = stateOf(unit);
  const { figure, capacity, rate, drained } = unit;
  const load = capacity === null || rate === null ? null : rate / capacity;
  const word =
    state === "draining" && drained !== null ? `${text.state.draining} ${percentText(drained)}` : undefined;
  return (
    <a
      class={`tile tone-${toneOf(state)}`}
      href={to("units", unit.unit)}
      data-unit={unit.unit}
      data-state={state}
    >
      <span class="line">
        <b class="unit">{unit.unit}</b>
        {unit.center && <small class="tag">{text.fleet.center}</small>}
        <State state={state} {...(word === undefined ? {} : { word })} />
      </span>
      <span class="line main">
        <span class="rate">
          <b>{rateText(rate)}</b> <small>{text.fleet.rps}</small>
        </span>
        <Spark values={values} />
      </span>
      <span class="line">
        <span>
          {percentText(figure?.successShare)} <small>{text.fleet.success}</small>
        </span>
        <span>
          {latencyText(figure?.p99)} <small>{text.fleet.p99}</small>
        </span>
      </span>
      <span class="load" title={`${rateText(rate)} / ${rateText(capacity)}`}>
        <span
          class={load !== null && load > 0.9 ? "fill over" : "fill"}
          style={{ width: `${Math.min(100, 100 * (load ?? 0))}%` }}
        />
      </span>
      <small class="line">
        <span>{load === null ? text.fleet.noCapacity : `${percentText(load)} ${text.fleet.load}`}</span>
        <span>
          {unit.slots} {text.fleet.slots}
        </span>
      </small>
    </a>
  );
}

/** Those among many that are not well, by name. */
function Odd({ units }: { readonly units: readonly FedUnit[] }) {
  const text = useText();
  const odd = worstFirst(units).filter(({ state }) => state !== "well");
  if (odd.length === 0) return null;
  return (
    <ul class="odd">
      {odd.slice(0, MOST_NAMED).map(({ unit: { unit, region }, state }) => (
        <li key={unit}>
          <a href={to("units", unit)}>{unit}</a> <small>{region}</small> <State state={state} />
        </li>
      ))}
      {odd.length > MOST_NAMED && <li>{text.need.more(odd.length - MOST_NAMED)}</li>}
    </ul>
  );
}

function worstFirst(units: readonly FedUnit[]): { readonly unit: FedUnit; readonly state: UnitState }[] {
  return units
    .map((unit) => ({ unit, state: stateOf(unit) }))
    .sort((a, b) => WORST.indexOf(a.state) - WORST.indexOf(b.state));
}

/** One stop for the tabulator key; the arrow keys go from cell to cell. */
function Cells({ units }: { readonly units: readonly FedUnit[] }) {
  const text = useText();
  const [at, setAt] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const sorted = worstFirst(units);
  const go = (event: KeyboardEvent): void => {
    const steps: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(sorted.length - 1, at + step));
    setAt(next);
    list.current?.querySelectorAll("a")[next]?.focus();
  };
  const counts = [...Map.groupBy(sorted, ({ state }) => state)];
  return (
    <>
      <p class="counts">
        {counts.map(([state, own]) => (
          <State key={state} state={state} word={`${own.length} ${stateText(text, state)}`} />
        ))}
      </p>
      <ul ref={list} class="cells" aria-description={text.fleet.cellsHint} onKeyDown={go}>
        {sorted.map(({ unit: { unit }, state }, i) => (
          <li key={unit}>
            <a
              class={`cell tone-${toneOf(state)}`}
              href={to("units", unit)}
              tabIndex={i === at ? 0 : -1}
              title={`${unit}: ${stateText(text, state)}`}
              data-unit={unit}
              data-state={state}
              onFocus={() => setAt(i)}
            >
              <span class="unseen">{`${unit}: ${stateText(text, state)}`}</span>
            </a>
          </li>
        ))}
      </ul>
    </>
  );
}

interface Arrow {
  readonly from: string;
  readonly path: string;
  readonly label: string;
  readonly x: number;
  readonly y: number;
}

/** Drawn over the tiles, wherever the browser has put them. */
function Arrows({
  box,
  flows,
}: {
  readonly box: { readonly current: HTMLDivElement | null };
  readonly flows: readonly Flow[];
}) {
  const [arrows, setArrows] = useState<readonly Arrow[]>([]);
  const signature = flows.map(({ from, to: other, share }) => `${from} ${other} ${share.toFixed(2)}`).join();
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const look = (): void => {
      const whole = element.getBoundingClientRect();
      const tiles = new Map<string, DOMRect>();
      for (const tile of element.querySelectorAll<HTMLElement>(".tile")) {
        tiles.set(tile.dataset.unit ?? "", tile.getBoundingClientRect());
      }
      setArrows(
        flows.flatMap(({ from, to: other, share }) => {
          const [a, b] = [tiles.get(from), tiles.get(other)];
          return a === undefined || b === undefined ? [] : [arrowOf(from, a, b, whole, percentText(share))];
        }),
      );
    };
    look();
    const observer = new ResizeObserver(look);
    observer.observe(element);
    return () => observer.disconnect();
  }, [signature]);
  if (arrows.length === 0) return null;
  return (
    <svg class="arrows" aria-hidden="true">
      <defs>
        <marker id="head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto">
          <path d="M0 0L8 4L0 8Z" />
        </marker>
      </defs>
      {arrows.map(({ from, path, label, x, y }) => (
        <g key={from}>
          <path class="arrow" d={path} marker-end="url(#head)" />
          <text x={x} y={y}>
            {label}
          </text>
        </g>
      ))}
    </svg>
  );
}

/** Tiles further apart (pixels) have others between them. */
const BESIDE = 140;
/** Height of an arc (pixels): over the names of regions. */
const ARC = 78;

function arrowOf(from: string, a: DOMRect, b: DOMRect, whole: DOMRect, label: string): Arrow {
  const isBeside = a.right <= b.left || b.right <= a.left;
  const apart = Math.max(a.left, b.left) - Math.min(a.right, b.right);
  if (isBeside && apart > BESIDE) return arcOf(from, a, b, whole, label);
  const isRight = a.right <= b.left;
  const isBelow = a.bottom <= b.top;
  const [x1, y1] = isBeside
    ? [(isRight ? a.right : a.left) - whole.left, a.top + a.height * 0.3 - whole.top]
    : [a.left + a.width * 0.8 - whole.left, (isBelow ? a.bottom : a.top) - whole.top];
  const [x2, y2] = isBeside
    ? [(isRight ? b.left : b.right) - whole.left, b.top + b.height * 0.3 - whole.top]
    : [b.left + b.width * 0.8 - whole.left, (isBelow ? b.top : b.bottom) - whole.top];
  // Tiles of one row: over what lies between. Tiles of one column: beside it.
  const [cx, cy] = isBeside
    ? [(x1 + x2) / 2, Math.min(y1, y2) - Math.max(14, Math.abs(x2 - x1) * 0.12)]
    : [Math.max(x1, x2) + 40, (y1 + y2) / 2];
  const [lx, ly] = [(x1 + 2 * cx + x2) / 4, (y1 + 2 * cy + y2) / 4];
  return { from, path: `M${x1} ${y1}Q${cx} ${cy} ${x2} ${y2}`, label, x: lx, y: ly - 5 };
}

/** Over everything that lies between. */
function arcOf(from: string, a: DOMRect, b: DOMRect, whole: DOMRect, label: string): Arrow {
  const [x1, x2] = [a.left + a.width / 2 - whole.left, b.left + b.width / 2 - whole.left];
  const [y1, y2] = [a.top - whole.top, b.top - whole.top];
  const top = Math.min(y1, y2) - ARC;
  const peak = (y1 + y2) / 8 + top * 0.75;
  return {
    from,
    path: `M${x1} ${y1}C${x1} ${top} ${x2} ${top} ${x2} ${y2}`,
    label,
    x: (x1 + x2) / 2,
    y: peak - 5,
  };
}
