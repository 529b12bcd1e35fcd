/** The canary's figure beside stable's, and between which bounds their difference lies at every moment. */
import type { Comparison } from "../../../model/analysis/comparison.ts";
import { useText } from "../text/text.ts";
import { trim } from "./format.ts";

interface Props {
  readonly of: Comparison;
  /** Of rates the difference is told, of latencies the ratio. */
  readonly kind: "difference" | "ratio";
  readonly show: (value: number) => string;
}

const WIDTH = 200;
const MIDDLE = WIDTH / 2;

export function Band({ of: { canary, stable, change, low, high }, kind, show }: Props) {
  const text = useText();
  if (canary === null && stable === null) return <span>{text.common.noData}</span>;
  const told = (value: number | null): string => (value === null ? "–" : show(value));
  const words = (value: number): string =>
    kind === "ratio" ? `× ${trim(value, 2)}` : `${value < 0 ? "−" : "+"}${show(Math.abs(value))}`;
  return (
    <span class="band">
      <span>
        {told(canary)} / {told(stable)}
      </span>
      {low !== null && high !== null && (
        <svg viewBox={`0 0 ${WIDTH} 16`} role="img" aria-label={text.rollouts.band(words(low), words(high))}>
          <title>{text.rollouts.band(words(low), words(high))}</title>
          <line class="zero" x1={MIDDLE} x2={MIDDLE} y1={0} y2={16} />
          <rect
            class={placeOf(low, kind, low, high) > MIDDLE ? "bad" : "rest"}
            x={placeOf(low, kind, low, high)}
            width={Math.max(2, placeOf(high, kind, low, high) - placeOf(low, kind, low, high))}
            y={5}
            height={6}
          />
          {change !== null && <circle class="first" cx={placeOf(change, kind, low, high)} cy={8} r={4} />}
        </svg>
      )}
    </span>
  );
}

/** The middle is no difference; the farther bound is at nine tenths of a half. */
function placeOf(value: number, kind: Props["kind"], low: number, high: number): number {
  const away = (one: number): number => (kind === "ratio" ? Math.log(Math.max(one, 1e-3)) : one);
  const farthest = Math.max(Math.abs(away(low)), Math.abs(away(high)), 1e-9);
  const at = MIDDLE + (away(value) / farthest) * MIDDLE * 0.9;
  return Math.min(WIDTH, Math.max(0, at));
}
