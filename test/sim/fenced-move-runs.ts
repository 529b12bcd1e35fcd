/** Many seeds of the fenced move, and what is held against each. */
import { FencedMove, type Outcome, type Settings } from "./fenced-move.ts";

export const SOUND: Settings = { guards: false, planes: 2, flaws: {} };

export const PROPERTIES: readonly {
  readonly what: string;
  readonly settings: Settings;
  /** Of a run that does not take long. */
  readonly seeds: number;
}[] = [
  { what: "two control planes, units without guards", settings: SOUND, seeds: 100 },
  { what: "one control plane that comes again", settings: { ...SOUND, planes: 1 }, seeds: 50 },
  {
    what: "units with guards, and gateways that somebody goes on without",
    settings: { ...SOUND, guards: true },
    seeds: 50,
  },
];

export interface Checked {
  /** With the seed of each. */
  readonly problems: readonly string[];
  readonly sum: Outcome["seen"];
}

export async function checked(
  settings: Settings,
  from: number,
  seeds: number,
  onSeed: (seed: number) => void = () => {},
): Promise<Checked> {
  const problems: string[] = [];
  const sum: Record<string, number> = {};
  for (let seed = from; seed < from + seeds; seed++) {
    onSeed(seed);
    const { violations, lost, unfinished, defects, seen } = await new FencedMove(seed, settings).run();
    const found = [
      ...violations,
      ...(lost > 0 ? [`${lost} acknowledged writes are not where their slots are`] : []),
      ...unfinished.map((one) => `not ended: ${one}`),
      ...defects.map((one) => `a defect: ${one}`),
    ];
    problems.push(...found.map((one) => `seed ${seed}: ${one}`));
    for (const [name, value] of Object.entries(seen)) sum[name] = (sum[name] ?? 0) + Math.round(value);
  }
  return { problems, sum: sum as unknown as Outcome["seen"] };
}
