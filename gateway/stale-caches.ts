import type { Clock } from "../model/clock.ts";
import type { CompiledRoute } from "../model/table.ts";
import { StaleCache } from "./stale-cache.ts";

/**
 * A thread's caches of last good answers, by route. They outlive table swaps, by name: an overlay that degrades a route
 * must not forget what the route is to answer with. A route that means other requests, or finds their users otherwise,
 * begins anew, because its answers would be looked for under other users' names.
 */
export class StaleCaches {
  readonly #clock: Clock;
  readonly #threads: number;
  #all = new Map<string, { readonly meaning: string; readonly cache: StaleCache }>();
  /** Weak, because a request that began with an older table still asks for its route's. */
  readonly #byRoute = new WeakMap<CompiledRoute, StaleCache>();

  /** @param threads that share a route's memory evenly */
  constructor(clock: Clock, threads: number) {
    this.#clock = clock;
    this.#threads = threads;
  }

  /** Undefined when the route has no `stale` fallback. */
  of(route: CompiledRoute): StaleCache | undefined {
    return this.#byRoute.get(route);
  }

  /** Called when a table was swapped in: routes that are gone, or keep no answers any more, are forgotten. */
  swap(routes: readonly CompiledRoute[]): void {
    const before = this.#all;
    this.#all = new Map();
    for (const route of routes) {
      const { match, scope, fallback } = route.spec;
      if (fallback?.stale === undefined) continue;
      const policy = { ...fallback.stale, size: Math.floor(fallback.stale.size / this.#threads) };
      const meaning = JSON.stringify([match, scope, route.service.name, route.key]);
      const name = route.isStaged ? `${route.name} staged` : route.name;
      const known = before.get(name);
      const cache = known?.meaning === meaning ? known.cache : new StaleCache(policy, this.#clock);
      if (cache === known?.cache) cache.configure(policy);
      this.#all.set(name, { meaning, cache });
      this.#byRoute.set(route, cache);
    }
  }
}
