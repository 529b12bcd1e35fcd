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

/**
 * One route of a path, and the next less specific one of the same path.
 *
 * What a look-up reads stands in this one object: with thousands of routes every further object is cold memory, and
 * costs more than the comparison it holds.
 */
class Leaf<R> {
  readonly match: RouteMatch;
  readonly route: R;
  /** Bits of the methods that the route takes; all bits where it takes every method. */
  readonly #methods: number;
  /** Undefined where there are no conditions. */
  readonly #headers: RouteMatch["headers"] | undefined;
  #next: Leaf<R> | undefined = undefined;

  constructor(match: RouteMatch, route: R) {
    this.match = match;
    this.route = route;
    this.#methods =
      match.methods.length === 0 ? -1 : match.methods.reduce((bits, m) => bits | methodBit(m), 0);
    this.#headers = match.headers.length === 0 ? undefined : match.headers;
  }

  /** @returns the most specific of the leaves, the others behind it. */
  static chain<R>(leaves: readonly Leaf<R>[]): Leaf<R> {
    const sorted = [...leaves].sort(bySpecificity);
    for (let i = 0; i + 1 < sorted.length; i++) sorted[i]!.#next = sorted[i + 1];
    return sorted[0]!;
  }

  find(request: MatchRequest): R | undefined {
    const bit = methodBit(request.method);
    for (let leaf: Leaf<R> | undefined = this; leaf !== undefined; leaf = leaf.#next) {
      if ((leaf.#methods & bit) === 0) continue;
      // Rare methods share a bit.
      if (bit === RARE && leaf.#methods !== -1 && !leaf.match.methods.includes(request.method)) continue;
      if (leaf.#headers !== undefined && !headersMatch(leaf.#headers, request.headers)) continue;
      return leaf.route;
    }
    return undefined;
  }
}

const RARE = 1 << 7;

function methodBit(method: string): number {
  switch (method) {
    case "GET":
      return 1;
    case "POST":
      return 1 << 1;
    case "PUT":
      return 1 << 2;
    case "DELETE":
      return 1 << 3;
    case "HEAD":
      return 1 << 4;
    case "PATCH":
      return 1 << 5;
    case "OPTIONS":
      return 1 << 6;
    default:
      return RARE;
  }
}

function headersMatch(conditions: RouteMatch["headers"], headers: HeaderList): boolean {
  for (const { name, exact } of conditions) {
    const value = headerValue(headers, name);
    if (value === undefined || (exact !== undefined && value !== exact)) return false;
  }
  return true;
}

/** One question to a tree: whose leaves are meant, and what is asked. Reused, since `find` is synchronous. */
interface Ask<R> {
  leaves: ReadonlyMap<string, Leaf<R>>;
  request: MatchRequest;
}

/**
 * find-my-way's constraint by which a leaf may refuse a request, so that its own backtracking goes on searching.
 * While the tree is built the store is asked for the pattern itself, and answers the bit mask it was given.
 */
class LeafConstraint<R> {
  #pattern = "";
  #mask = 0;
  get(value: string | Ask<R>): number {
    if (typeof value === "string") return value === this.#pattern ? this.#mask : 0;
    return value.leaves.get(this.#pattern)?.find(value.request) === undefined ? 0 : this.#mask;
  }
  set(pattern: string, mask: number): void {
    this.#pattern = pattern;
    this.#mask = mask;
  }
}

// find-my-way keeps a tree per method; methods are ours, so all routes live in one tree under this name.
const TREE = "GET";
const nothing = (): void => {};
const NO_PARAMS: PathParams = Object.freeze(Object.create(null));

/** find-my-way over a set of patterns; the routes behind them are the asker's. */
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
  readonly #derived: { leaf: Ask<R> | undefined } = { leaf: undefined };

  constructor(patterns: Iterable<string>) {
    for (const pattern of patterns) {
      const store = { pattern };
      this.#tree.on(TREE, pattern, { constraints: { leaf: pattern as never } }, nothing, store);
    }
  }

  /** @param path the request's, or what of it lies behind a literal beginning */
  find(leaves: ReadonlyMap<string, Leaf<R>>, path: string, request: MatchRequest): Match<R> | undefined {
    this.#derived.leaf = { leaves, request };
    const found = this.#tree.find(TREE, path, this.#derived as never);
    this.#derived.leaf = undefined;
    // A path that is not UTF-8 gives find-my-way's own answer, which has no pattern.
    if (found === null || found.store === null) return undefined;
    const route = leaves.get((found.store as { pattern: string }).pattern)?.find(request);
    return route === undefined ? undefined : { route, params: found.params };
  }
}

/** The routes that share their leading literal segments, and go on with a parameter or a wildcard. */
interface Group<R> {
  /** By what of their path lies behind the literal segments. */
  readonly leaves: Map<string, Leaf<R>>;
  tree: PatternTree<R>;
}

/** A literal segment and what lies below it. */
interface Segment<R> {
  below: Map<string, Segment<R>> | undefined;
  /** The route whose path ends here. */
  exact: Leaf<R> | undefined;
  /** The `/*` right behind it, where nothing else goes on from here. */
  wildcard: Leaf<R> | undefined;
  /** What goes on with parameters. */
  group: Group<R> | undefined;
}

/**
 * The paths of one host. Most routes are literal, or literal with a last wildcard; they are found by walking the
 * path's literal segments and trying the deepest first, which is find-my-way's order too: a longer literal beginning
 * is the more specific route. find-my-way sees only what lies behind them, and groups whose patterns there are alike
 * share one tree: find-my-way compiles functions per node, and those of ten thousand routes would all be cold. This is
 * several times as fast as find-my-way alone; a test holds both to the same answers.
 */
class PathIndex<R> {
  readonly #routes = new Map<string, Leaf<R>[]>();
  readonly #leaves = new Map<string, Leaf<R>>();
  readonly #root: Segment<R> = emptySegment();
  /** Segments on the way of the current look-up, and where in the path; as many as the index is deep, not the path. */
  readonly #passed: Segment<R>[] = [];
  readonly #passedAt: number[] = [];
  /** All leaves in one tree, for paths that must be decoded; built when the first one comes. */
  #all: PatternTree<R> | undefined;

  add(match: RouteMatch, route: R): void {
    const leaves = this.#routes.get(match.path) ?? [];
    this.#routes.set(match.path, leaves);
    leaves.push(new Leaf(match, route));
  }

  build(): void {
    const patterns = new Map<Segment<R>, Map<string, Leaf<R>>>();
    for (const [path, leaves] of this.#routes) {
      const leaf = Leaf.chain(leaves);
      this.#leaves.set(path, leaf);
      const literal = literalBeginning(path);
      const segment = this.#segment(literal);
      if (literal === path) {
        segment.exact = leaf;
        continue;
      }
      const behind = patterns.get(segment) ?? new Map();
      patterns.set(segment, behind.set(path.slice(literal.length), leaf));
    }
    const trees = new Map<string, PatternTree<R>>();
    for (const [segment, leaves] of patterns) {
      segment.wildcard = leaves.size === 1 ? leaves.get("/*") : undefined;
      if (segment.wildcard !== undefined) continue;
      const shape = [...leaves.keys()].sort();
      const name = shape.join(" ");
      const tree = trees.get(name) ?? new PatternTree<R>(shape);
      trees.set(name, tree);
      segment.group = { leaves, tree };
    }
  }

  #segment(literal: string): Segment<R> {
    let segment = this.#root;
    for (const name of literal === "" ? [] : literal.slice(1).split("/")) {
      segment.below ??= new Map();
      let next = segment.below.get(name);
      if (next === undefined) {
        next = emptySegment();
        segment.below.set(name, next);
      }
      segment = next;
    }
    return segment;
  }

  find(request: MatchRequest): Match<R> | undefined {
    const { path } = request;
    if (path.includes("%")) {
      this.#all ??= new PatternTree(this.#leaves.keys());
      return this.#all.find(this.#leaves, path, request);
    }
    const passed = this.#passed;
    const passedAt = this.#passedAt;
    let count = 0;
    let segment: Segment<R> | undefined = this.#root;
    let at = 0;
    // `at` stands on the slash behind the segment; past the end of the path, the segment is its last one.
    while (segment !== undefined && at < path.length) {
      if (segment.wildcard !== undefined || segment.group !== undefined) {
        passed[count] = segment;
        passedAt[count++] = at;
      }
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
      const { wildcard, group } = passed[count]!;
      if (wildcard !== undefined) {
        const route = wildcard.find(request);
        if (route !== undefined) return { route, params: NO_PARAMS };
      } else {
        const match = group!.tree.find(group!.leaves, path.slice(passedAt[count]), request);
        if (match !== undefined) return match;
      }
    }
    return undefined;
  }
}

function emptySegment<R>(): Segment<R> {
  return { below: undefined, exact: undefined, wildcard: undefined, group: undefined };
}

/** The segments before the first parameter or wildcard, without a last slash; the whole path where there is none. */
function literalBeginning(path: string): string {
  for (let at = path.indexOf("/"); at !== -1; at = path.indexOf("/", at + 1)) {
    const next = path[at + 1];
    if (next === ":" || (next === "*" && at + 2 === path.length)) return path.slice(0, at);
  }
  return path;
}

/** Array.sort is stable, so equal routes keep the order of the file. */
function bySpecificity<R>(a: Leaf<R>, b: Leaf<R>): number {
  const named = (leaf: Leaf<R>): number => (leaf.match.methods.length > 0 ? 0 : 1);
  return named(a) - named(b) || b.match.headers.length - a.match.headers.length;
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
