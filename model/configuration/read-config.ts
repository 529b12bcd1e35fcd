/** Files → one valid configuration, or everything that is wrong with them. */
import type { TSchema } from "typebox";
import type { Config } from "../config.ts";
import { DEFAULT_GATEWAY_SETTINGS } from "../gateway-settings.ts";
import { FORECAST_FILE, readForecast } from "../forecast/forecast-file.ts";
import type { Problem } from "../problem.ts";
import { NO_SAFETY } from "../safety.ts";
import { ALERTS_FILE, readAlerts } from "./alerts-file.ts";
import { AlertsSchema, type AlertsShape } from "./alerts-schema.ts";
import { DraftFile } from "./draft.ts";
import { readFleet } from "./fleet-file.ts";
import { FleetSchema, type FleetShape } from "./fleet-schema.ts";
import { readGatewaySettings } from "./gateway-file.ts";
import { GatewaySchema, type GatewayShape } from "./gateway-schema.ts";
import { MOST_PLANS, planName, readPlan } from "./plan-file.ts";
import { PlanSchema, type PlanShape } from "./plan-schema.ts";
import { ProblemList } from "./problem-list.ts";
import { ReferencedFiles } from "./referenced-files.ts";
import { readLimits } from "./limits.ts";
import { MOST_ROLLOUTS, readRollout, rolloutName } from "./rollout-file.ts";
import { RolloutSchema, type RolloutShape } from "./rollout-schema.ts";
import { readRoutes } from "./routes-file.ts";
import { RoutesSchema, type RoutesShape } from "./routes-schema.ts";
import { readSafety } from "./safety-file.ts";
import { SafetySchema, type SafetyShape } from "./safety-schema.ts";
import { YamlFile } from "./yaml-file.ts";

export interface ReadConfig {
  /** Undefined when there is an error among the problems. */
  readonly config: Config | undefined;
  /** By file, line and column. */
  readonly problems: Problem[];
}

/**
 * Reads a configuration directory: `fleet.yaml`, `routes.yaml`, and if they are there `gateway.yaml`, `safety.yaml`,
 * `alerts.yaml` and `forecast.csv`, and the files that these name.
 *
 * @param read The text of a file by its name relative to the directory (with `/`), undefined when there is none.
 * @param names The names of all files, for those that no other names: plans.
 * @throws only what `read` throws.
 */
export function readConfig(
  read: (name: string) => string | undefined,
  names: () => Iterable<string> = () => [],
): ReadConfig {
  const problems = new ProblemList();
  const files = new ReferencedFiles(read);
  const open = <T>(name: string, schema: TSchema, text: string): DraftFile<T> => {
    const yaml = new YamlFile(name, text, problems);
    return new DraftFile<T>(yaml, schema);
  };
  /** For a file that must say something. */
  const whole = <T>(name: string, schema: TSchema, text: string): DraftFile<T> => {
    const file = open<T>(name, schema, text);
    if (file.isEmpty) {
      const message = `${name} is empty; expected its fields`;
      problems.add("error", () => ({ code: "empty-file", file: name, line: 1, column: 1, message }));
    }
    return file;
  };
  const required = <T>(name: string, schema: TSchema): DraftFile<T> | undefined => {
    const text = read(name);
    if (text === undefined) {
      const message = `there is no readable ${name} in the directory; expected one`;
      problems.add("error", () => ({ code: "missing-file", file: name, line: 1, column: 1, message }));
      return undefined;
    }
    return whole<T>(name, schema, text);
  };

  const fleetFile = required<FleetShape>("fleet.yaml", FleetSchema);
  const routesFile = required<RoutesShape>("routes.yaml", RoutesSchema);
  const gatewayText = read("gateway.yaml");

  const fleet = fleetFile === undefined ? undefined : readFleet(fleetFile, files);
  const context = fleetFile === undefined || fleet === undefined ? undefined : { file: fleetFile, fleet };
  const routes = routesFile === undefined ? [] : readRoutes(routesFile, context, files);
  const gateway =
    gatewayText === undefined
      ? DEFAULT_GATEWAY_SETTINGS
      : readGatewaySettings(open<GatewayShape>("gateway.yaml", GatewaySchema, gatewayText));
  const identity = gatewayText === undefined || !problems.hasErrors ? gateway.identity : undefined;
  const safetyText = read("safety.yaml");
  // An emptied file would take every rule away without a word; `rules: {}` does so on purpose.
  const safety =
    safetyText === undefined
      ? NO_SAFETY
      : readSafety(whole<SafetyShape>("safety.yaml", SafetySchema, safetyText), context);
  const limits = routesFile === undefined ? [] : readLimits(routesFile, routes, identity);

  const forecastText = read(FORECAST_FILE);
  // Without routes every name would seem unknown.
  const known = routes.length === 0 ? undefined : new Set(routes.map((route) => route.name));
  const forecast =
    forecastText === undefined ? undefined : readForecast(FORECAST_FILE, forecastText, problems, known);

  const isWhole = fleet !== undefined && !problems.hasErrors;
  const config: Config | undefined = isWhole
    ? { fleet, routes, limits, gateway, safety, ...(forecast === undefined ? {} : { forecast }) }
    : undefined;
  const own = [...names()].sort();
  const many = (noun: string, files: string[], most: number): readonly string[] => {
    if (files.length <= most) return files;
    const message = `there are ${files.length} ${noun}; expected at most ${most}`;
    problems.add("error", () => ({ code: "out-of-range", file: noun, line: 1, column: 1, message }));
    return [];
  };
  const planFiles = own.filter((name) => planName(name) !== undefined);
  const plans = many("plans", planFiles, MOST_PLANS).flatMap((name) => {
    const file = whole<PlanShape>(name, PlanSchema, read(name) ?? "");
    return readPlan(file, planName(name)!, config) ?? [];
  });
  const rollouts = many(
    "rollouts",
    own.filter((name) => rolloutName(name) !== undefined),
    MOST_ROLLOUTS,
  ).flatMap((name) => {
    const file = whole<RolloutShape>(name, RolloutSchema, read(name) ?? "");
    return readRollout(file, rolloutName(name)!, config) ?? [];
  });
  const alertsText = read(ALERTS_FILE);
  const alerts =
    alertsText === undefined
      ? undefined
      : readAlerts(whole<AlertsShape>(ALERTS_FILE, AlertsSchema, alertsText), {
          config,
          plans,
          planNames: planFiles.map((name) => planName(name)!),
        });
  const isValid = config !== undefined && !problems.hasErrors;
  return {
    config: isValid
      ? {
          ...config,
          ...(plans.length === 0 ? {} : { plans }),
          ...(rollouts.length === 0 ? {} : { rollouts }),
          ...(alerts === undefined ? {} : { alerts }),
        }
      : undefined,
    problems: problems.sorted(),
  };
}
