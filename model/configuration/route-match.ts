/** Reads a route's `match`, and finds routes that take the same requests. */
import { METHODS } from "node:http";
import type { RouteMatch } from "../route.ts";
import { type Draft, type DraftFile, quoted, unknownName } from "./draft.ts";
import type { RoutesShape } from "./routes-schema.ts";

type File = DraftFile<RoutesShape>;
type MatchDraft = NonNullable<NonNullable<Draft<RoutesShape>["routes"]>[number]["match"]>;

/** CONNECT asks for a tunnel to a host, not for a path. */
const KNOWN_METHODS: ReadonlySet<string> = new Set(METHODS.filter((method) => method !== "CONNECT"));

/** A `:name` that takes one whole segment. */
const PARAM = /^:[A-Za-z][A-Za-z0-9_]{0,62}$/;

/** Undefined when it cannot be matched; the problems have been reported then. */
export function readMatch(file: File, draft: MatchDraft): RouteMatch | undefined {
  const { path } = draft;
  const wrongPath = path === undefined ? undefined : pathProblem(path);
  if (path !== undefined && wrongPath !== undefined) {
    file.problem(draft, "path", "invalid-path", () => `\`path\` is ${quoted(path)}; ${wrongPath}`);
  }
  const host = draft.host?.toLowerCase();
  const wrongHost = host === undefined ? undefined : hostProblem(host);
  if (host !== undefined && wrongHost !== undefined) {
    file.problem(draft, "host", "invalid-host", () => `\`host\` is ${quoted(host)}; ${wrongHost}`);
  }
  const methods = new Set<string>();
  for (const [i, method] of (draft.methods ?? []).entries()) {
    if (KNOWN_METHODS.has(method)) methods.add(method);
    else file.problem(draft.methods!, i, "unknown-method", () => methodProblem(method));
  }
  const headers = new Map<string, string | undefined>();
  for (const [key, value] of draft.headers ?? []) {
    const name = key.toLowerCase();
    if (headers.has(name)) {
      file.problemAtKey(
        draft.headers!,
        key,
        "duplicate-header",
        `header \`${name}\` is here twice; expected it once`,
      );
    }
    headers.set(name, value === true ? undefined : value);
  }
  if (path === undefined || wrongPath !== undefined) return undefined;
  return {
    path,
    host,
    methods: [...methods],
    headers: Array.from(headers, ([name, exact]) => ({ name, exact })),
  };
}

/** Names of the `:param`s of a path. */
export function pathParams(path: string): string[] {
  return path
    .split("/")
    .filter((segment) => PARAM.test(segment))
    .map((segment) => segment.slice(1));
}

function pathProblem(path: string): string | undefined {
  if (!path.startsWith("/")) return "expected it to begin with `/`";
  const bad = /[?#%\\\s\x00-\x1f\x7f-\x9f]/.exec(path)?.[0];
  if (bad === "?") return "a route matches paths without their query; expected no `?`";
  if (bad === "%") return "expected the characters themselves instead of percent-encoding";
  if (bad !== undefined) return `expected no ${quoted(bad)} in it`;
  if (!path.isWellFormed()) return "expected no half of a surrogate pair in it";
  if (path.includes("//")) return "expected no empty segment (`//`)";
  const params = new Set<string>();
  const segments = path.slice(1).split("/");
  for (const [i, segment] of segments.entries()) {
    if (segment === "." || segment.includes("..")) return "expected no `.` or `..` in it";
    if (segment.includes("*") && (segment !== "*" || i < segments.length - 1)) {
      return "expected `*` only as `/*` at the end";
    }
    if (!segment.includes(":")) continue;
    if (!PARAM.test(segment)) return `${quoted(segment)} is no \`:name\` that takes one whole segment`;
    if (params.has(segment)) return `expected \`${segment}\` in it once`;
    params.add(segment);
  }
  return undefined;
}

const HOST = /^(\*\.)?(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*$/;
const EXPECTED_HOST = "expected a host such as shop.example.com or *.example.com";

function hostProblem(host: string): string | undefined {
  if (HOST.test(host) || /^\[[0-9a-f:.]+\]$/.test(host)) return undefined;
  if (/:\d+$/.test(host)) return `a host is matched without its port; ${EXPECTED_HOST}`;
  if (/[^\x00-\x7f]/.test(host)) return `${EXPECTED_HOST}, in its ASCII form (xn--…)`;
  return EXPECTED_HOST;
}

function methodProblem(method: string): string {
  const upper = method.toUpperCase();
  if (KNOWN_METHODS.has(upper)) return `${quoted(method)} is in lower case; did you mean ${upper}?`;
  if (upper === "CONNECT") return "CONNECT asks for a tunnel and cannot be routed; expected another method";
  const hint = unknownName("method", method, KNOWN_METHODS);
  return hint.includes("did you mean") ? hint : `${hint}; expected one such as GET or POST`;
}

interface Seen {
  readonly name: string;
  readonly line: number;
  readonly path: string;
}

/** Finds two routes that take the very same requests: one of them would never be asked. */
export class Matches {
  readonly #seen = new Map<string, Map<string, Seen>>();
  readonly #shapes = new Map<string, Seen>();

  /** The route is reported at its `match`. Routes that name methods come before those that take all, so these may meet. */
  add(file: File, owner: object, name: string, match: RouteMatch): void {
    const seen: Seen = { name, line: file.line(owner, "match"), path: match.path };
    // A parameter's name does not change which paths are taken.
    const shape = match.path.replaceAll(/:[^/]+/g, ":");
    const place = JSON.stringify([match.host ?? null, shape]);
    const other = this.#shapes.get(place);
    if (other === undefined) this.#shapes.set(place, seen);
    else if (other.path !== match.path) {
      file.problem(owner, "match", "param-names-differ", () => {
        const where = `\`${other.name}\` in line ${other.line}`;
        return `\`${match.path}\` takes the same paths as \`${other.path}\` of ${where}; expected the same parameter names`;
      });
    }
    const headers = match.headers.map((h) => [h.name, h.exact ?? null]).sort();
    const key = JSON.stringify([place, headers]);
    const methods = this.#seen.get(key) ?? new Map<string, Seen>();
    this.#seen.set(key, methods);
    const wanted = match.methods.length === 0 ? [""] : match.methods;
    const twice = wanted.find((method) => methods.has(method));
    if (twice === undefined) {
      for (const method of wanted) methods.set(method, seen);
      return;
    }
    const first = methods.get(twice)!;
    const what = twice === "" ? "the same requests" : `the same ${twice} requests`;
    const message = `\`${name}\` takes ${what} as \`${first.name}\` in line ${first.line}; expected each request to have one route`;
    file.problem(owner, "match", "duplicate-route", message);
  }
}
