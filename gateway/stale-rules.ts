/**
 * Which answers may be kept and given again when no unit can answer, to whom, and how old.
 *
 * These are the rules of RFC 9111 for a shared cache, and stricter wherever a mistake would show one user's page to
 * another. A library for them (http-cache-semantics) would have to be told most of these rules besides.
 */
import type { IncomingHttpHeaders } from "undici/types/header.js";
import type { HeaderList } from "../model/header-list.ts";
import { type Directives, listOf, readDirectives, readVary, secondsIn, secondsOf } from "./cache-control.ts";

export interface Permission {
  /** `Cache-Control: public`: also for and from requests that carry credentials. */
  readonly isPublic: boolean;
  /** Lower-case names of request fields on which the answer depends. */
  readonly vary: readonly string[];
  /** Milliseconds of age that the answer had when it came. */
  readonly age: number;
  /** Milliseconds of age from which it must not be given; Infinity when the unit names no bound. */
  readonly bound: number;
}

/** Any of these says that the answer is for one user, or not to be given without asking the unit. */
const PROHIBITIONS = ["no-store", "private", "no-cache", "must-revalidate", "proxy-revalidate"] as const;

/** Fields that do something to the one client that asked, or say that this is no whole and good answer. */
const UNFIT_FIELDS = [
  "set-cookie",
  "set-cookie2",
  "clear-site-data",
  "authentication-info",
  "content-range",
  "x-tidegate-fallback",
] as const;

/** More names than this are no description of a page. */
export const MOST_VARY = 16;

/**
 * What the unit's answer permits.
 *
 * @returns undefined when it may not be kept; `"prohibited"` when its Cache-Control says so, which goes for what was
 *   kept of the page before as well
 */
export function permissionOf(
  status: number,
  headers: IncomingHttpHeaders,
): Permission | "prohibited" | undefined {
  // An error may say no-store as well, and says nothing of the last good answer by it.
  if (status !== 200) return undefined;
  const directives = readDirectives(headers["cache-control"]);
  if (directives === undefined || PROHIBITIONS.some((name) => directives.has(name))) return "prohibited";
  // Superseded, and still the only prohibition that some old servers know.
  if (headers.pragma !== undefined && /no-cache/i.test(String(headers.pragma))) return "prohibited";
  if (UNFIT_FIELDS.some((name) => headers[name] !== undefined)) return undefined;
  // Only the connection's end would end this body, and a connection that broke ends it just so.
  if (headers["content-length"] === undefined && headers["transfer-encoding"] === undefined) return undefined;
  const vary = readVary(headers.vary);
  if (vary === undefined || vary.length > MOST_VARY || vary.some(isOwn)) return undefined;
  const age = ageOf(headers);
  if (age === undefined) return undefined;
  const bound = boundOf(directives, headers);
  return age < bound
    ? { isPublic: directives.has("public"), vary, age: age * 1000, bound: bound * 1000 }
    : undefined;
}

/** What the gateway says to a unit differs from attempt to attempt, and is no property of the client's request. */
function isOwn(name: string): boolean {
  return name.startsWith("x-tidegate-");
}

/** Seconds; undefined when the field cannot be read, so that nobody knows how old the answer is. */
function ageOf(headers: IncomingHttpHeaders): number | undefined {
  let most = 0;
  for (const value of listOf(headers.age)) {
    const seconds = secondsIn(value);
    if (seconds === undefined) return undefined;
    most = Math.max(most, seconds);
  }
  return most;
}

/**
 * Seconds of age from which the unit forbids the answer.
 *
 * `s-maxage` includes proxy-revalidate (RFC 9111 §5.2.2.10): fresh or not at all. `stale-if-error` counts from the end
 * of the fresh lifetime (RFC 5861 §4). Without either a stale answer is what §4.2.4 allows where the unit cannot be asked.
 */
function boundOf(directives: Directives, headers: IncomingHttpHeaders): number {
  const shared = secondsOf(directives, "s-maxage");
  if (shared !== undefined) return shared;
  const stale = secondsOf(directives, "stale-if-error");
  if (stale === undefined) return Number.POSITIVE_INFINITY;
  return (secondsOf(directives, "max-age") ?? expiry(headers)) + stale;
}

/** Seconds from Date to Expires; 0 when either is missing, double or unreadable, such as `Expires: 0`. */
function expiry({ expires, date }: IncomingHttpHeaders): number {
  if (typeof expires !== "string" || typeof date !== "string") return 0;
  if (!expires.endsWith(" GMT") || !date.endsWith(" GMT")) return 0;
  const seconds = (Date.parse(expires) - Date.parse(date)) / 1000;
  return seconds > 0 ? seconds : 0;
}

/**
 * Whether a request says, besides its partition key, who asks: Authorization, Cookie, and any field whose name speaks
 * of a key, a token or the like, because units also authenticate by names of their own.
 */
export function carriesCredentials(headers: HeaderList): boolean {
  for (let i = 0; i < headers.length; i += 2) if (CREDENTIAL.test(headers[i]!)) return true;
  return false;
}
const CREDENTIAL = /auth|cookie|token|secret|session|credential|passw|signature|jwt|key/i;

/** Whether the request forbids that its answer is kept; what cannot be read counts as that. */
export function forbidsStoring(headers: HeaderList): boolean {
  const directives = readDirectives(valuesOf(headers, "cache-control"));
  return directives === undefined || directives.has("no-store");
}

/** All values of a field, in order. `lower` must be in lower case. */
export function valuesOf(headers: HeaderList, lower: string): string[] {
  const values: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i]!.length === lower.length && headers[i]!.toLowerCase() === lower)
      values.push(headers[i + 1]!);
  }
  return values;
}
