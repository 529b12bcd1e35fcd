/**
 * Whether a change may be made: assertions on the configuration that would result, and on how the fleet is.
 *
 * A change is refused for what it makes worse. One that makes things better, or has nothing to do with them, passes
 * though a rule is broken already: at three in the morning nobody must be kept from bringing a unit back because there
 * are too few of them.
 */
import type { Config } from "./config.ts";
import type { CanaryPolicy, Service, Version } from "./fleet.ts";
import { formatTime, mostWithin } from "./forecast/forecast.ts";
import { ALWAYS, type FreezeWindow, type SafetyRule, WITHIN } from "./safety.ts";

/** How a unit, or a service's version in it, is seen; undefined where nobody reports: no data is a value of its own. */
export type Seen = boolean | undefined;

export interface Situation {
  readonly before: Config | undefined;
  readonly after: Config;
  /** Everything that is done, such as `drain`, `undrain`, `apply`. */
  readonly actions: readonly string[];
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
      return checkServing(rule, situation);
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
function serving(config: Config, situation: Situation, service?: string): string[] {
  const of = config.fleet.services.find(({ name }) => name === service);
  return config.fleet.units
    .filter(({ name, drain }) => drain === undefined && situation.health.get(name) !== false)
    .filter(({ name }) => service === undefined || (of !== undefined && isUsable(of, name, situation)))
    .map(({ name }) => name);
}

function checkServing(
  { least, service }: Extract<SafetyRule, { kind: "serving" }>,
  situation: Situation,
): Found {
  const { before } = situation;
  const after = serving(situation.after, situation, service);
  // A first configuration that is small breaks nothing that was there.
  if (after.length >= least || before === undefined) return undefined;
  const had = serving(before, situation, service).length;
  // Where every unit looks unhealthy, gateways take health for nothing: then draining the last unit is what stops it.
  const isLast = undrained(situation.after) === 0 && undrained(before) > 0;
  if (after.length >= had && !isLast) return undefined;
  const what = service === undefined ? "serve" : `serve ${service}`;
  return {
    message: `${units(after.length)} would ${what} (${after.join(", ") || "none"}); at least ${least} must`,
    figures: {
      serving: after.length,
      before: had,
      least,
      ...(service === undefined ? {} : { service }),
    },
    satisfy: "undrain a unit, or wait until one is healthy again",
  };
}

function undrained(config: Config): number {
  return config.fleet.units.filter(({ drain }) => drain === undefined).length;
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

/** The most that is asked until then; a change that takes the forecast away is still held by it. */
function expected({ before, after, now }: Situation, until: number): number | undefined {
  const most = [before, after].flatMap((config) =>
    config?.forecast === undefined ? [] : (mostWithin(config.forecast, now, until) ?? []),
  );
  return most.length === 0 ? undefined : Math.max(...most);
}

function zoned({ before, after }: Situation, at: number): string {
  return formatTime(at, (after.forecast ?? before?.forecast)?.zone ?? 0);
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
  { factor, load, losingOne, within = WITHIN }: Extract<SafetyRule, { kind: "capacity" }>,
  situation: Situation,
): Found {
  const { before, after } = situation;
  const now = remaining(after, situation, losingOne);
  const had = before === undefined ? undefined : remaining(before, situation, losingOne);
  if (before === undefined || now.capacity >= had!.capacity) return undefined;
  const end = situation.now + within;
  const rps = load === "current" ? situation.load : load === "forecast" ? expected(situation, end) : load;
  const until = load === "forecast" ? zoned(situation, end) : "";
  const with_ = now.lost === "" ? "" : ` with ${now.lost} lost`;
  if (rps === undefined) {
    const [what, who] =
      load === "forecast"
        ? [`forecast of the load until ${until}`, "apply a forecast.csv that has these hours"]
        : ["data on the load", "let a gateway report its load"];
    return {
      message: `${rate(now.capacity)} would remain${with_}, and there is no ${what} to compare it with`,
      figures: { capacity: now.capacity, load: "no data" },
      satisfy: `${who}, or state a load in the rule`,
    };
  }
  const needed = Math.ceil(rps * factor);
  if (now.capacity >= needed) return undefined;
  return {
    message:
      `${rate(now.capacity)} would remain${with_}; ${rate(needed)} are needed ` +
      `(${Number((factor * 100).toFixed(2))} % of ${rate(rps)}` +
      `${load === "forecast" ? `, the most that is expected until ${until}` : ""})`,
    figures: {
      capacity: now.capacity,
      load: Math.round(rps),
      needed,
      lost: now.lost || "none",
      ...(load === "forecast" ? { until } : {}),
    },
    satisfy: `${rate(needed - now.capacity)} more: undrain a unit, add one, or wait until the load is at most ${rate(Math.floor(now.capacity / factor))}`,
  };
}

function checkFreeze(
  { windows }: Extract<SafetyRule, { kind: "freeze" }>,
  { now, actions }: Situation,
): Found {
  // Windows may overlap, and then each of them holds.
  const held = ({ except }: FreezeWindow): string[] =>
    // A fence that stays keeps users from writing.
    actions.filter((action) => action !== "unfence" && !except.includes(action));
  const window = windows.find((one) => now >= one.from && now < one.to && held(one).length > 0);
  if (window === undefined) return undefined;
  const [from, to] = [new Date(window.from).toISOString(), new Date(window.to).toISOString()];
  return {
    message: `nothing is changed from ${from} to ${to}${window.except.length === 0 ? "" : ` but ${window.except.join(", ")}`}`,
    figures: { from, to, action: held(window).join(", ") },
    satisfy: `wait until ${to}`,
  };
}

/**
 * No change takes the last version of a service out of a unit, nor sends more users to a canary where nothing is well.
 *
 * Health comes and goes without a change, so "never both" can only mean what a change does. What may mend the service
 * passes: other endpoints, another health check, a smaller share. So does what happens in a drained unit.
 */
function checkVersions(situation: Situation): Found {
  const { before, after } = situation;
  const drained = new Set(after.fleet.units.filter((u) => u.drain !== undefined).map((u) => u.name));
  for (const service of after.fleet.services) {
    const old = before?.fleet.services.find(({ name }) => name === service.name);
    if (old === undefined) continue;
    for (const [unit, pool] of Object.entries(service.pools)) {
      const had = old.pools[unit];
      if (had === undefined || drained.has(unit) || pool.canary.length + had.canary.length === 0) continue;
      if (isUsable(service, unit, situation)) continue;
      const takes = isUsable(old, unit, situation);
      if (!takes && !isWider(old.canary, service.canary, unit)) continue;
      const [stable, canary] = (["stable", "canary"] as const).map((v) =>
        stateOf(service, unit, v, situation),
      );
      const figures = { service: service.name, unit, stable: stable!, canary: canary! };
      return takes
        ? {
            message: `nothing of ${service.name} could be used in ${unit} (stable: ${stable}, canary: ${canary})`,
            figures,
            satisfy: `leave ${service.name} an endpoint that is well in ${unit}, or drain ${unit} first`,
          }
        : {
            message: `stable and canary of ${service.name} are both unhealthy in ${unit}, and more users would see the canary`,
            figures,
            satisfy: `bring one of them back in ${unit}, or drain ${unit} first`,
          };
    }
  }
  return undefined;
}

/** Whether users of a unit could see the canary who did not before. */
function isWider(old: CanaryPolicy, next: CanaryPolicy, unit: string): boolean {
  const { header, pins } = next;
  const [was, is] = [old, next].map(({ share, salt, units }) =>
    units === undefined ? { share, salt } : (units[unit] ?? { share: 0, salt }),
  ) as [{ share: number; salt: string }, { share: number; salt: string }];
  return (
    is.share > was.share ||
    (is.share > 0 && is.salt !== was.salt) ||
    pins.some((key) => !old.pins.includes(key)) ||
    (header !== undefined && (header.name !== old.header?.name || header.value !== old.header.value))
  );
}

/** Whether one of a service's versions can be used in a unit, as far as anybody knows. */
function isUsable(service: Service, unit: string, situation: Situation): boolean {
  const states = (["stable", "canary"] as const).map((v) => stateOf(service, unit, v, situation));
  return states.includes("usable");
}

type VersionState = "none" | "drained" | "unhealthy" | "usable";

function stateOf(service: Service, unit: string, version: Version, situation: Situation): VersionState {
  const pool = service.pools[unit];
  if (pool === undefined || pool[version].length === 0) return "none";
  const open = pool[version].filter((endpoint) => pool.drained?.includes(endpoint) !== true);
  if (open.length === 0) return "drained";
  if (situation.versions.get(`${service.name} ${unit} ${version}`) !== false) return "usable";
  // What was seen was seen of the endpoints before: of new ones nobody knows anything.
  const known = situation.before?.fleet.services.find(({ name }) => name === service.name)?.pools[unit]?.[
    version
  ];
  return known !== undefined && open.some((endpoint) => !known.includes(endpoint)) ? "usable" : "unhealthy";
}

function units(n: number): string {
  return `${n} unit${n === 1 ? "" : "s"}`;
}

function rate(rps: number): string {
  return `${Math.round(rps)} requests/s`;
}
