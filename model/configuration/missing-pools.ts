import type { Fleet } from "../fleet.ts";
import type { Route } from "../route.ts";
import type { DraftFile } from "./draft.ts";

/** Warns of units that a route sends requests to and that have no pool of its service. */
export class MissingPools {
  readonly #services: ReadonlyMap<string, Fleet["services"][number]>;
  readonly #owners: readonly string[];
  readonly #center: string | undefined;
  /** Ten thousand routes share a few services, so each is looked at once. */
  readonly #known = new Map<string, string>();

  constructor(fleet: Fleet) {
    this.#services = new Map(fleet.services.map((service) => [service.name, service]));
    // Units that are unknown or broken have problems of their own.
    const units = new Set(fleet.units.map((unit) => unit.name));
    this.#owners = [...new Set(fleet.placement.map)].filter((unit) => units.has(unit));
    this.#center = fleet.units.find((unit) => unit.center)?.name;
  }

  check(file: DraftFile<unknown>, owner: object, route: Route): void {
    if (route.scope === "nearest") return;
    const missing = this.#missing(route);
    if (missing === "") return;
    const message = () =>
      `service \`${route.service}\` has no pool in ${missing}, and ${route.scope} requests of \`${route.name}\` belong there; expected a pool`;
    file.problem(owner, "service", "pool-missing", message, "warning");
  }

  #missing(route: Route): string {
    const service = this.#services.get(route.service);
    if (service === undefined) return "";
    const key = `${route.scope} ${route.missingKey} ${route.service}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const wanted = new Set(route.scope === "sharded" ? this.#owners : []);
    const needsCenter = route.scope === "center" || route.missingKey === "center";
    if (needsCenter && this.#center !== undefined) wanted.add(this.#center);
    const missing = [...wanted].filter((unit) => !Object.hasOwn(service.pools, unit));
    const shown = missing.slice(0, 5).map((unit) => `\`${unit}\``);
    const more = missing.length > shown.length ? ` and ${missing.length - shown.length} more units` : "";
    const text = shown.join(", ") + more;
    this.#known.set(key, text);
    return text;
  }
}
