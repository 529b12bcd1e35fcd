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

interface Entry<R> {
  readonly match: RouteMatch;
  readonly route: R;
}

/** All routes of one host and path, most specific first. */
class Leaf<R> {
  readonly entries: Entry<R>[] = [];
  /** The route that takes every request of this path: no more than one step from the leaf, which is cold memory. */
  #always: R | undefined;

  /** Once all entries are here. */
  build(): void {
    this.entries.sort(bySpecificity);
    const first = this.entries[0]!;
    if (isUnconditional(first.match)) this.#always = first.route;
  }

  /** Some entry takes every method and any headers, so this leaf never refuses. */
  get total(): boolean {
    return this.entries.some((e) => isUnconditional(e.match));
  }

  find(request: MatchRequest): R | undefined {
    if (this.#always !== undefined) return this.#always;
    for (const { match, route } of this.entries) {
      if (match.methods.length > 0 && !match.methods.includes(request.method)) continue;
      if (match.headers.length > 0 && !headersMatch(match, request.headers)) continue;
      return route;
    }
    return undefined;
  }
}

function isUnconditional(match: RouteMatch): boolean {
  return match.methods.length === 0 && match.headers.length === 0;
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
  get(value: Leaf<R> | MatchRequest): number {
    if (value === this.#leaf) return this.#mask;
    return this.#leaf?.find(value as MatchRequest) === undefined ? 0 : this.#mask;
  }
  set(leaf: Leaf<R>, mask: number): void {
    this.#leaf = leaf;
    this.#mask = mask;
  }
}

// find-my-way keeps a tree per method; methods are ours, so all routes live in one tree under this name.
const TREE = "GET";
const nothing = (): void => {};
const NO_PARAMS: PathParams = Object.freeze(Object.create(null));

/** find-my-way over some leaves. */
class PatternTree<R> {
  readonly #tree = findMyWay({
    caseSensitive: true,
    maxParamLength: 1024,
    querystringParser: () => ({}),
    constraints: {
      leaf: {
        name: "leaf",
        storage: () => new LeafConstraint<R>() as never,
        deriveConstraint: nothing as never,
      },
    },
  });
  /** Reused for every look-up: `find` is synchronous and keeps no reference. */
  readonly #derived: { leaf: MatchRequest | undefined } = { leaf: undefined };

  constructor(leaves: Iterable<readonly [path: string, leaf: Leaf<R>]>) {
    for (const [path, leaf] of leaves) {
      const options = leaf.total ? {} : { constraints: { leaf: leaf as never } };
      this.#tree.on(TREE, path, options, nothing, leaf);
    }
  }

  find(request: MatchRequest): Match<R> | undefined {
    this.#derived.leaf = request;
    const found = this.#tree.find(TREE, request.path, this.#derived as never);
    this.#derived.leaf = undefined;
    // A path that is not UTF-8 gives find-my-way's own answer, which has no leaf.
    if (found === null || found.store === null) return undefined;
    const route = (found.store as Leaf<R>).find(request);
    return route === undefined ? undefined : { route, params: found.params };
  }
}

/** The routes that share their leading literal segments, and go on with a parameter or a wildcard. */
interface Group<R> {
  readonly leaves: [path: string, leaf: Leaf<R>][];
  /** The `/*` right behind the literal segments. */
  below: Leaf<R> | undefined;
  /** Undefined where `below` is all there is. */
  tree: PatternTree<R> | undefined;
}

/** A literal segment and what lies below it. */
interface Segment<R> {
  below: Map<string, Segment<R>> | undefined;
  /** The route whose path ends here. */
  exact: Leaf<R> | undefined;
  group: Group<R> | undefined;
}

/**
 * The paths of one host. Most routes are literal, or literal with a last wildcard; they are found by walking the
 * path's literal segments and trying the deepest first, which is find-my-way's order too: a longer literal beginning
 * is the more specific route. find-my-way sees only what has parameters. With 10,000 routes this is several times as
 * fast as find-my-way alone, whose tree compiles functions per node that then stay cold; a test holds both to the
 * same answers.
 */
class PathIndex<R> {
  readonly #leaves = new Map<string, Leaf<R>>();
  readonly #root: Segment<R> = { below: undefined, exact: undefined, group: undefined };
  /** Groups on the way of the current look-up; its length is the depth of the index, whatever the path's. */
  readonly #passed: Group<R>[] = [];
  /** All leaves in one tree, for paths that must be decoded; built when the first one comes. */
  #all: PatternTree<R> | undefined;

  add(match: RouteMatch, route: R): void {
    const leaf = this.#leaves.get(match.path) ?? new Leaf<R>();
    this.#leaves.set(match.path, leaf);
    leaf.entries.push({ match, route });
  }

  build(): void {
    const groups = new Set<Group<R>>();
    for (const [path, leaf] of this.#leaves) {
      leaf.build();
      const literal = literalBeginning(path);
      const segment = this.#segment(literal);
      if (literal === path) {
        segment.exact = leaf;
        continue;
      }
      segment.group ??= { leaves: [], below: undefined, tree: undefined };
      segment.group.leaves.push([path, leaf]);
      if (path === `${literal}/*`) segment.group.below = leaf;
      groups.add(segment.group);
    }
    for (const group of groups) {
      if (group.below === undefined || group.leaves.length > 1) group.tree = new PatternTree(group.leaves);
    }
  }

  #segment(literal: string): Segment<R> {
    let segment = this.#root;
    for (const name of literal === "" ? [] : literal.slice(1).split("/")) {
      segment.below ??= new Map();
      let next = segment.below.get(name);
      if (next === undefined) {
        next = { below: undefined, exact: undefined, group: undefined };
        segment.below.set(name, next);
      }
      segment = next;
    }
    return segment;
  }

  find(request: MatchRequest): Match<R> | undefined {
    const { path } = request;
    if (path.includes("%")) {
      this.#all ??= new PatternTree(this.#leaves);
      return this.#all.find(request);
    }
    const passed = this.#passed;
    let count = 0;
    let segment: Segment<R> | undefined = this.#root;
    let at = 0;
    // `at` stands on the slash behind the segment; past the end of the path, the segment is its last one.
    while (segment !== undefined && at < path.length) {
      if (segment.group !== undefined) passed[count++] = segment.group;
      if (segment.below === undefined) {
        segment = undefined;
        break;
      }
      let end = path.indexOf("/", at + 1);
      if (end === -1) end = path.length;
      segment = segment.below.get(path.slice(at + 1, end));
      at = end;
    }
    const exact = segment?.exact?.find(request);
    if (exact !== undefined) return { route: exact, params: NO_PARAMS };
    while (count-- > 0) {
      const group = passed[count]!;
      if (group.tree !== undefined) {
        const match = group.tree.find(request);
        if (match !== undefined) return match;
      } else {
        const route = group.below!.find(request);
        if (route !== undefined) return { route, params: NO_PARAMS };
      }
    }
    return undefined;
  }
}

/** The segments before the first parameter or wildcard, without a last slash; the whole path where there is none. */
function literalBeginning(path: string): string {
  for (let at = path.indexOf("/"); at !== -1; at = path.indexOf("/", at + 1)) {
    const next = path[at + 1];
    if (next === ":" || (next === "*" && at + 2 === path.length)) return path.slice(0, at);
  }
  return path;
}

/** Array.sort is stable, so equal entries keep the order of the file. */
function bySpecificity<R>(a: Entry<R>, b: Entry<R>): number {
  const named = (m: RouteMatch): number => (m.methods.length > 0 ? 0 : 1);
  return named(a.match) - named(b.match) || b.match.headers.length - a.match.headers.length;
}

/** Builds the router of a table aside; it is never changed afterwards. */
export function buildRouter<R extends { readonly match: RouteMatch }>(routes: readonly R[]): Router<R> {
  const exact = new Map<string, PathIndex<R>>();
  const suffixes = new Map<string, PathIndex<R>>();
  let any: PathIndex<R> | undefined;
  const tree = (map: Map<string, PathIndex<R>>, name: string): PathIndex<R> => {
    const found = map.get(name) ?? new PathIndex<R>();
    map.set(name, found);
    return found;
  };
  for (const route of routes) {
    const { host } = route.match;
    if (host === undefined) {
      any ??= new PathIndex<R>();
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
