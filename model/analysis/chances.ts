/**
 * How a count of the canary's is distributed when canary and stable are alike, and when its odds are others.
 *
 * Of `total` requests of both, `marked` are of a kind (they failed, they were slow). Whatever struck both, and however
 * hard: given these totals, which of them were the canary's `drawn` is chance alone, and the count is hypergeometric.
 * With odds `psi` times those of stable it is Fisher's noncentral one, which is the same tilted by psi^count. Without
 * stable traffic it is binomial with a known share, tilted likewise.
 */

export interface Chances {
  /** Requests of the canary, and their share of all that are compared. */
  readonly drawn: number;
  readonly share: number;
  /** Of the count. */
  readonly mean: number;
  readonly variance: number;
  /** Logarithm of the mean of e^(count × tilt). */
  logMean(tilt: number): number;
  spread(): Spread;
}

/** Chances of the counts from `from` on, without those that do not matter. */
export interface Spread {
  readonly from: number;
  readonly chance: Float64Array;
}

/** Relative to the most likely count: below it nothing matters. */
const NEGLIGIBLE = 1e-18;

export function hypergeometric(total: number, marked: number, drawn: number): Chances {
  const least = Math.max(0, marked + drawn - total);
  const most = Math.min(marked, drawn);
  /** Chance of x + 1 by that of x. */
  const ratio = (x: number): number =>
    ((marked - x) * (drawn - x)) / ((x + 1) * (total - marked - drawn + x + 1));
  const mode = clamp(Math.floor(((marked + 1) * (drawn + 1)) / (total + 2)), least, most);
  const logMode = logChance(total, marked, drawn, mode);
  const rate = total > 0 ? marked / total : 0;
  return {
    spread: () => around(mode, least, most, ratio),
    drawn,
    share: total > 0 ? drawn / total : 0,
    mean: drawn * rate,
    variance: total > 1 ? (drawn * rate * (1 - rate) * (total - drawn)) / (total - 1) : 0,
    logMean(tilt) {
      if (least === most) return most * tilt;
      const psi = Math.exp(tilt);
      const tilted = clamp(tiltedMode(total, marked, drawn, psi), least, most);
      const here = tilted === mode ? logMode : logChance(total, marked, drawn, tilted);
      let sum = 1;
      for (let x = tilted, weight = 1; x < most && weight > NEGLIGIBLE; x++) {
        weight *= ratio(x) * psi;
        sum += weight;
      }
      for (let x = tilted, weight = 1; x > least && weight > NEGLIGIBLE; x--) {
        weight /= ratio(x - 1) * psi;
        sum += weight;
      }
      return here + tilted * tilt + Math.log(sum);
    },
  };
}

/** @param rate above 0 and below 1 */
export function binomial(drawn: number, rate: number): Chances {
  const odds = rate / (1 - rate);
  const mode = clamp(Math.floor((drawn + 1) * rate), 0, drawn);
  return {
    spread: () => around(mode, 0, drawn, (x) => ((drawn - x) / (x + 1)) * odds),
    drawn,
    share: 0,
    mean: drawn * rate,
    variance: drawn * rate * (1 - rate),
    logMean: (tilt) => drawn * Math.log1p(rate * Math.expm1(tilt)),
  };
}

function around(mode: number, least: number, most: number, ratio: (x: number) => number): Spread {
  const up: number[] = [];
  const down: number[] = [];
  let sum = 1;
  for (let x = mode, weight = 1; x < most; x++) {
    weight *= ratio(x);
    if (weight < NEGLIGIBLE) break;
    up.push(weight);
    sum += weight;
  }
  for (let x = mode, weight = 1; x > least; x--) {
    weight /= ratio(x - 1);
    if (weight < NEGLIGIBLE) break;
    down.push(weight);
    sum += weight;
  }
  const chance = new Float64Array(down.length + 1 + up.length);
  for (let i = 0; i < down.length; i++) chance[down.length - 1 - i] = down[i]! / sum;
  chance[down.length] = 1 / sum;
  for (let i = 0; i < up.length; i++) chance[down.length + 1 + i] = up[i]! / sum;
  return { from: mode - down.length, chance };
}

/** Where the tilted chances go neither up nor down (Liao and Rosen 2001). */
function tiltedMode(total: number, marked: number, drawn: number, psi: number): number {
  const a = psi - 1;
  const b = (marked + drawn + 2) * psi + total - marked - drawn;
  const c = (marked + 1) * (drawn + 1) * psi;
  return Math.floor((2 * c) / (b + Math.sqrt(Math.max(0, b * b - 4 * a * c))));
}

function logChance(total: number, marked: number, drawn: number, x: number): number {
  return logChoose(marked, x) + logChoose(total - marked, drawn - x) - logChoose(total, drawn);
}

function logChoose(n: number, k: number): number {
  return logFactorial(n) - logFactorial(k) - logFactorial(n - k);
}

const FEW = 256;
const FACTORIALS = new Float64Array(FEW);
for (let n = 2; n < FEW; n++) FACTORIALS[n] = FACTORIALS[n - 1]! + Math.log(n);

/** Exact to 1e-12 and better (Stirling's series). */
export function logFactorial(n: number): number {
  if (n < FEW) return FACTORIALS[n]!;
  const inverse = 1 / n;
  return (
    n * Math.log(n) -
    n +
    0.5 * Math.log(2 * Math.PI * n) +
    inverse * (1 / 12 - inverse * inverse * (1 / 360 - (inverse * inverse) / 1260))
  );
}

function clamp(x: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, x));
}
