/** Where load goes, before and after: one pair of bars for each unit, against what it bears. */
import type { Projection } from "../data/shapes.ts";
import { useText } from "../text/text.ts";
import { rateText } from "./format.ts";

/** Of many units, those that change most are shown. */
const MOST = 24;

export function LoadBars({ before, after }: { readonly before: Projection; readonly after: Projection }) {
  const text = useText();
  const rows = before.units.map((was) => {
    const is = after.units.find(({ unit }) => unit === was.unit) ?? was;
    return { unit: was.unit, was: was.rps, is: is.rps, capacity: is.capacity, shed: sum(is.shed) };
  });
  const shown = rows
    .toSorted((a, b) => Math.abs(b.is - b.was) - Math.abs(a.is - a.was))
    .slice(0, MOST)
    .toSorted((a, b) => rows.indexOf(a) - rows.indexOf(b));
  const whole = Math.max(1e-9, ...shown.flatMap(({ was, is, capacity }) => [was, is, capacity ?? 0]));
  const share = (value: number): string => `${(100 * value) / whole}%`;
  return (
    <div class="bars">
      <p class="keys">
        <span class="key">
          <i class="swatch was" aria-hidden="true" />
          {text.plans.before}
        </span>
        <span class="key">
          <i class="swatch accent" aria-hidden="true" />
          {text.plans.after}
        </span>
        <span class="key">
          <i class="swatch limit" aria-hidden="true" />
          {text.fleet.capacity}
        </span>
      </p>
      {shown.map(({ unit, was, is, capacity, shed }) => {
        const isOver = capacity !== undefined && is > capacity;
        return (
          <div class="bar" key={unit}>
            <span class="name">{unit}</span>
            <span class="track">
              <span class="fill was" style={{ width: share(was) }} />
              <span class={isOver ? "fill is over" : "fill is"} style={{ width: share(is) }} />
              {capacity !== undefined && <span class="limit" style={{ insetInlineStart: share(capacity) }} />}
            </span>
            <span class="number">
              {rateText(was)} → <b>{rateText(is)}</b>
              {capacity !== undefined && <small> / {rateText(capacity)}</small>}
              {isOver && <small class="tone-bad"> {text.plans.overCapacity}</small>}
              {shed > 0 && (
                <small class="tone-bad">
                  {" "}
                  {rateText(shed)} {text.plans.shed}
                </small>
              )}
            </span>
          </div>
        );
      })}
      {rows.length > shown.length && <p class="note">{text.common.shown(shown.length, rows.length)}</p>}
      {after.failing > 0 && (
        <p class="note tone-bad">
          {rateText(after.failing)} {text.fleet.rps} {text.plans.failing}
        </p>
      )}
      {after.degraded > 0 && (
        <p class="note">
          {rateText(after.degraded)} {text.fleet.rps} {text.plans.degraded}
        </p>
      )}
    </div>
  );
}

function sum(shed: Readonly<Record<string, number>>): number {
  return Object.values(shed).reduce((all, value) => all + value, 0);
}
