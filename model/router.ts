/**
 * Finds the route of a request: find-my-way for paths, and around it hosts, methods and headers.
 *
 * Specificity, most specific first; the first that accepts the whole request wins:
 * 1. host: exact, then the longest `*.suffix`, then routes without a host;
 * 2. path: segment by segment, literal before `:name` before `/*`;
 * 3. method: routes that name methods before routes that take all;
 * 4. headers: more header conditions first;
 * 5. the order in the file.
 * A route whose methods or headers refuse the request is passed over, and the search goes on at the next path and
 * then at the next host, so that a catch-all route catches all.
 */
import findMyWay from "find-my-way";
import { type HeaderList, headerValue } from "./header-list.ts";
import type { PathParams } from "./partition-key.ts";
import type { RouteMatch } from "./route.ts";

export interface MatchRequest {
  readonly method: string;
  /** Lower-case, without port. */
  readonly host: string;
  /** Without query. */
  readonly path: string;
  readonly headers: HeaderList;
}

export interface Match<R> {
  readonly route: R;
  readonly params: PathParams;
}

export interface Router<R> {
  find(request: MatchRequest): Match<R> | undefined;
}

/** All routes of one host and path, most specific first. */
class Leaf<R> {
  readonly entries: { match: RouteMatch; route: R }[] = [];
  /** The last entry takes every method and any headers, so this leaf never refuses. */
  get total(): boolean {
    return this.entries.some((e) => e.match.methods.length === 0 && e.match.headers.length === 0);
  }
  find(request: MatchRequest): R | undefined {
    for (const { match, route } of this.entries) {
      if (match.methods.length > 0 && !match.methods.includes(request.method)) continue;
      if (match.headers.length > 0 && !headersMatch(match, request.headers)) continue;
      return route;
    }
    return undefined;
  }
}

function headersMatch(match: RouteMatch, headers: HeaderList): boolean {
  for (const { name, exact } of match.headers) {
    const value = headerValue(headers, name);
    if (value === undefined || (exact !== undefined && value !== exact)) return false;
  }
  return true;
}

/**
 * find-my-way's constraint by which a leaf may refuse a request, so that its own backtracking goes on searching.
 * While the tree is built the store is asked for the leaf itself, and answers the bit mask it was given.
 */
class LeafConstraint<R> {
  #leaf: Leaf<R> | undefined;
  #mask = 0;
  readonly #search: Search<R>;

  constructor(search: Search<R>) {
    this.#search = search;
  }

  get(value: Leaf<R> | MatchRequest): number {
    if (value === this.#leaf) return this.#mask;
    const route = this.#leaf?.find(value as MatchRequest);
    this.#search.found = route;
    return route === undefined ? 0 : this.#mask;
  }
  set(leaf: Leaf<R>, mask: number): void {
    this.#leaf = leaf;
    this.#mask = mask;
  }
}

/** What one look-up leaves behind, so that no leaf is asked twice. */
interface Search<R> {
  found: R | undefined;
}

// find-my-way keeps a tree per method; methods are ours, so all routes live in one tree under this name.
const TREE = "GET";
const nothing = (): void => {};

class PathTree<R> {
  readonly #leaves = new Map<string, Leaf<R>>();
  readonly #search: Search<R> = { found: undefined };
  readonly #tree = findMyWay({
    caseSensitive: true,
    maxParamLength: 1024,
    querystringParser: () => ({}),
    constraints: {
      leaf: {
        name: "leaf",
        storage: () => new LeafConstraint<R>(this.#search) as never,
        deriveConstraint: nothing as never,
      },
    },
  });
  /** Reused for every look-up: `find` is synchronous and keeps no reference. */
  readonly #derived: { leaf: MatchRequest | undefined } = { leaf: undefined };

  add(match: RouteMatch, route: R): void {
    const leaf = this.#leaves.get(match.path) ?? new Leaf<R>();
    this.#leaves.set(match.path, leaf);
    leaf.entries.push({ match, route });
  }

  build(): this {
    for (const [path, leaf] of this.#leaves) {
      leaf.entries.sort(bySpecificity);
      const options = leaf.total ? {} : { constraints: { leaf: leaf as never } };
      this.#tree.on(TREE, path, options, nothing, leaf);
    }
    return this;
  }

  find(request: MatchRequest): Match<R> | undefined {
    this.#derived.leaf = request;
    this.#search.found = undefined;
    const found = this.#tree.find(TREE, request.path, this.#derived as never);
    // A path that is not UTF-8 gives find-my-way's own answer, which has no leaf.
    if (found === null || found.store === null) return undefined;
    // A leaf that never refuses has not been asked yet.
    const route = this.#search.found ?? (found.store as Leaf<R>).find(request);
    return route === undefined ? undefined : { route, params: found.params };
  }
}

/** Array.sort is stable, so equal entries keep the order of the file. */
function bySpecificity<R>(a: { match: RouteMatch; route: R }, b: { match: RouteMatch; route: R }): number {
  const named = (m: RouteMatch): number => (m.methods.length > 0 ? 0 : 1);
  return named(a.match) - named(b.match) || b.match.headers.length - a.match.headers.length;
}

/** Builds the router of a table aside; it is never changed afterwards. */
export function buildRouter<R extends { readonly match: RouteMatch }>(routes: readonly R[]): Router<R> {
  const exact = new Map<string, PathTree<R>>();
  const suffixes = new Map<string, PathTree<R>>();
  let any: PathTree<R> | undefined;
  const tree = (map: Map<string, PathTree<R>>, name: string): PathTree<R> => {
    const found = map.get(name) ?? new PathTree<R>();
    map.set(name, found);
    return found;
  };
  for (const route of routes) {
    const { host } = route.match;
    if (host === undefined) {
      any ??= new PathTree<R>();
      any.add(route.match, route);
    } else if (host.startsWith("*.")) {
      tree(suffixes, host.slice(1)).add(route.match, route);
    } else {
      tree(exact, host).add(route.match, route);
    }
  }
  for (const t of exact.values()) t.build();
  for (const t of suffixes.values()) t.build();
  any?.build();

  return {
    find(request) {
      if (exact.size > 0) {
        const match = exact.get(request.host)?.find(request);
        if (match !== undefined) return match;
      }
      if (suffixes.size > 0) {
        for (let dot = request.host.indexOf("."); dot !== -1; dot = request.host.indexOf(".", dot + 1)) {
          const match = suffixes.get(request.host.slice(dot))?.find(request);
          if (match !== undefined) return match;
        }
      }
      return any?.find(request);
    },
  };
}
