/** What a run has to be before it is registered, and what is known of its users then. */
import type { Desk } from "../desk.ts";
import type { Actor } from "../draft.ts";
import { unitStandings } from "../fleet-units.ts";
import type { Gateways } from "../publish/gateways.ts";
import { Refused } from "../refused.ts";
import { breaks, parseAbortOn } from "./abort-on.ts";
import type { StressRun } from "./run.ts";
import type { StressSight } from "./sight.ts";

export type RunRequest = Pick<
  StressRun,
  "unit" | "scenario" | "mix" | "rate" | "lasts" | "measure" | "abortOn" | "reason"
>;

/** A mark lasts so much longer than its run (ms): its runner has to begin. */
const SLACK = 30_000;
/** Runs at once and lately: as many as gateways are told of. */
const MOST = 100;

/** @param live runs of now · @throws Refused */
export function madeOf(
  request: RunRequest,
  actor: Actor,
  live: readonly StressRun[],
  sight: StressSight,
  { desk, gateways, now }: { readonly desk: Desk; readonly gateways: Gateways; readonly now: () => number },
): Omit<StressRun, "id"> {
  const { unit, abortOn } = request;
  const config = desk.standing?.config;
  if (config === undefined) throw new Refused("conflict", "there is no configuration yet");
  const { units } = config.fleet;
  if (!units.some(({ name }) => name === unit)) throw new Refused("not-found", `there is no unit ${unit}`);
  const parsed = parseAbortOn(abortOn);
  if (typeof parsed === "string") throw new Refused("bad-request", `abortOn: ${parsed}`);
  const other = live.find((run) => run.unit === unit);
  if (other !== undefined) {
    const way = `stop it first: tidegate stress stop ${other.id}`;
    throw new Refused("conflict", `${other.id} (by ${other.owner.name}) stresses ${unit} already; ${way}`);
  }
  const told = config.gateway.stress?.stopped?.length ?? 0;
  if (told + live.length >= MOST) {
    throw new Refused(
      "too-many",
      `${MOST} runs live or ended within the hour; wait until their marks expire`,
    );
  }
  const standings = unitStandings(units, gateways.list());
  const isIll = (name: string): boolean => standings.find((one) => one.unit === name)?.healthy === false;
  if (isIll(unit))
    throw new Refused("conflict", `unit ${unit} fails its health checks already; nothing was begun`);
  const before = sight.before(unit, units).filter((one) => !isIll(one.unit));
  for (const [name, seen] of sight.usersLately()) {
    const broken = before.some((one) => one.unit === name) ? breaks(parsed, seen) : undefined;
    if (broken === undefined) continue;
    throw new Refused("conflict", `users of ${name} see ${broken} already; it would be aborted at once`);
  }
  const at = now();
  const until = wholeSecond(at + request.lasts + SLACK);
  const { name, from } = actor;
  return {
    ...{ ...request, owner: { name, from }, at, until },
    ...{ state: "running", before, samples: [] },
  };
}

/** Marks name whole seconds. */
function wholeSecond(milliseconds: number): number {
  return Math.floor(milliseconds / 1_000) * 1_000;
}
