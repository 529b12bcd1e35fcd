/**
 * Whether a change may be made: assertions on the configuration that would result, and on how the fleet is.
 *
 * A change is refused for what it makes worse. One that makes things better, or has nothing to do with them, passes
 * though a rule is broken already: at three in the morning nobody must be kept from bringing a unit back because there
 * are too few of them.
 */
import type { Config } from "./config.ts";
import { ALWAYS, type SafetyRule } from "./safety.ts";

/** How a unit, or a service's version in it, is seen; undefined where nobody reports: no data is a value of its own. */
export type Seen = boolean | undefined;

export interface Situation {
  readonly before: Config | undefined;
  readonly after: Config;
  /** What is done, such as `drain`, `undrain`, `apply`. */
  readonly action: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Unit → whether it is healthy. */
  readonly health: ReadonlyMap<string, Seen>;
  /** `service unit version` → whether it is healthy. */
  readonly versions: ReadonlyMap<string, Seen>;
  /** Requests per second of the fleet; undefined: no data. */
  readonly load: number | undefined;
}

export interface Violation {
  readonly rule: string;
  readonly message: string;
  /** What was compared. */
  readonly figures: Readonly<Record<string, number | string>>;
  /** What would make it pass. */
  readonly satisfy: string;
  readonly overridable: boolean;
}

/** Pure. */
export function checkSafety(rules: readonly SafetyRule[], situation: Situation): Violation[] {
  return [ALWAYS, ...rules].flatMap((rule) => {
    const found = check(rule, situation);
    return found === undefined ? [] : [{ rule: rule.name, ...found, overridable: rule !== ALWAYS }];
  });
}

type Found = Omit<Violation, "rule" | "overridable"> | undefined;

function check(rule: SafetyRule, situation: Situation): Found {
  switch (rule.kind) {
    case "serving":
      return checkServing(rule.least, situation);
    case "drained":
      return checkDrained(rule.most, situation);
    case "capacity":
      return checkCapacity(rule, situation);
    case "freeze":
      return checkFreeze(rule, situation);
    case "versions":
      return checkVersions(situation);
  }
}

/** Units that may be given work: not drained, and not known to be unhealthy. */
function serving(config: Config, { health }: Situation): string[] {
  return config.fleet.units
    .filter(({ name, drain }) => drain === undefined && health.get(name) !== false)
    .map(({ name }) => name);
}

function checkServing(least: number, situation: Situation): Found {
  const after = serving(situation.after, situation);
  if (after.length >= least) return undefined;
  const { before } = situation;
  const had = before === undefined ? Number.POSITIVE_INFINITY : serving(before, situation).length;
  // A first configuration that is small breaks nothing that was there.
  if (after.length >= had || before === undefined) return undefined;
  return {
    message: `${units(after.length)} would serve (${after.join(", ") || "none"}); at least ${least} must`,
    figures: { serving: after.length, before: had, least },
    satisfy: "undrain a unit, or wait until one is healthy again",
  };
}

function checkDrained(most: number, situation: Situation): Found {
  const drainedOf = (config: Config): string[] =>
    config.fleet.units.filter((u) => u.drain !== undefined).map((u) => u.name);
  const after = drainedOf(situation.after);
  const had = situation.before === undefined ? 0 : drainedOf(situation.before).length;
  if (after.length <= most || after.length <= had) return undefined;
  return {
    message: `${units(after.length)} would be drained (${after.join(", ")}); at most ${most} may`,
    figures: { drained: after.length, before: had, most },
    satisfy: `undrain ${after.length - most === 1 ? "one" : after.length - most} of them first`,
  };
}

/** Capacity that is left when the unit that is missed most is lost too. */
function remaining(
  config: Config,
  situation: Situation,
  losingOne: boolean,
): { capacity: number; lost: string } {
  const names = new Set(serving(config, situation));
  const left = config.fleet.units.filter((u) => names.has(u.name));
  const all = left.reduce((sum, u) => sum + (u.capacity ?? 0), 0);
  if (!losingOne || left.length === 0) return { capacity: all, lost: "" };
  const largest = left.reduce((a, b) => ((b.capacity ?? 0) > (a.capacity ?? 0) ? b : a));
  return { capacity: all - (largest.capacity ?? 0), lost: largest.name };
}

function checkCapacity(
  { factor, load, losingOne }: Extract<SafetyRule, { kind: "capacity" }>,
  situation: Situation,
): Found {
  const { before, after } = situation;
  const now = remaining(after, situation, losingOne);
  const had = before === undefined ? undefined : remaining(before, situation, losingOne);
  if (before === undefined || now.capacity >= had!.capacity) return undefined;
  const rps = load === "current" ? situation.load : load;
  const with_ = now.lost === "" ? "" : ` with ${now.lost} lost`;
  if (rps === undefined) {
    return {
      message: `${rate(now.capacity)} would remain${with_}, and there is no data on the load to compare it with`,
      figures: { capacity: now.capacity, load: "no data" },
      satisfy: "let a gateway report its load, or state a load in the rule",
    };
  }
  const needed = Math.ceil(rps * factor);
  if (now.capacity >= needed) return undefined;
  return {
    message:
      `${rate(now.capacity)} would remain${with_}; ${rate(needed)} are needed ` +
      `(${Number((factor * 100).toFixed(2))} % of ${rate(rps)})`,
    figures: { capacity: now.capacity, load: Math.round(rps), needed, lost: now.lost || "none" },
    satisfy: `${rate(needed - now.capacity)} more: undrain a unit, add one, or wait until the load is at most ${rate(Math.floor(now.capacity / factor))}`,
  };
}

function checkFreeze(
  { windows }: Extract<SafetyRule, { kind: "freeze" }>,
  { now, action }: Situation,
): Found {
  const window = windows.find(({ from, to }) => now >= from && now < to);
  if (window === undefined || window.except.includes(action)) return undefined;
  const [from, to] = [new Date(window.from).toISOString(), new Date(window.to).toISOString()];
  return {
    message: `nothing is changed from ${from} to ${to}${window.except.length === 0 ? "" : ` but ${window.except.join(", ")}`}`,
    figures: { from, to, action },
    satisfy: `wait until ${to}`,
  };
}

/** A share of a canary that grows where the other version is down, or endpoints that go where they are all that is up. */
function checkVersions({ before, after, versions }: Situation): Found {
  for (const service of after.fleet.services) {
    const old = before?.fleet.services.find((s) => s.name === service.name);
    if (old !== undefined && JSON.stringify(old) === JSON.stringify(service)) continue;
    for (const [unit, pool] of Object.entries(service.pools)) {
      if (pool.canary.length === 0) continue;
      const seen = (version: string): Seen => versions.get(`${service.name} ${unit} ${version}`);
      if (seen("stable") !== false || seen("canary") !== false) continue;
      return {
        message: `stable and canary of ${service.name} are both unhealthy in ${unit}; nothing of the service is changed meanwhile`,
        figures: { service: service.name, unit, stable: "unhealthy", canary: "unhealthy" },
        satisfy: `bring one of them back in ${unit}`,
      };
    }
  }
  return undefined;
}

function units(n: number): string {
  return `${n} unit${n === 1 ? "" : "s"}`;
}

function rate(rps: number): string {
  return `${Math.round(rps)} requests/s`;
}
