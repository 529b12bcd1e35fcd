/** Labels of `tidegate_retried_total`: attempts that failed and were made again, by the version that failed. */
import type { Version } from "../model/fleet.ts";

/** Names have no quotes. */
export function retriedLabels(route: string, unit: string, version: Version): string {
  return `route="${route}",unit="${unit}",version="${version}"`;
}

export function retriedOf(labels: string): [route: string, unit: string, version: Version] {
  const [, route, , unit, , version] = labels.split('"');
  return [route!, unit!, version as Version];
}
