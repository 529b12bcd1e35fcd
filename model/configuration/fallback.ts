import type { Fallback, RouteMatch, StalePolicy } from "../route.ts";
import { type Draft, type DraftFile, quoted } from "./draft.ts";
import { formatSize } from "./quantity.ts";
import type { ReferencedFiles } from "./referenced-files.ts";
import type { RoutesShape } from "./routes-schema.ts";

type File = DraftFile<RoutesShape>;
type FallbackDraft = NonNullable<NonNullable<Draft<RoutesShape>["routes"]>[number]["fallback"]>;
type StaleDraft = Exclude<NonNullable<FallbackDraft["stale"]>, number>;

/** Fallbacks live in memory, in the snapshot and in every gateway. */
const MOST_BYTES = 1_048_576;
const BODYLESS = new Set([204, 205]);
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

const STALE_SIZE = 2 ** 24;
const STALE_LARGEST = 2 ** 20;

/** @param match undefined when it could not be read */
export function readFallback(
  file: File,
  draft: FallbackDraft,
  files: ReferencedFiles,
  match: RouteMatch | undefined,
): Fallback {
  const answers = ["status", "file", "body", "redirect"].filter((field) => file.has(draft, field));
  if (answers.length === 0 && !file.has(draft, "stale")) {
    const message = "this fallback says nothing; expected `status`, `file`, `body`, `redirect` or `stale`";
    file.problem(draft, undefined, "fallback-body", message);
  }
  const status = draft.status ?? (file.has(draft, "redirect") ? 302 : 200);
  const body = readBody(file, draft, files, status);
  checkRedirect(file, draft, status);
  if (file.has(draft, "contentType") && !file.has(draft, "file") && !file.has(draft, "body")) {
    const message = "there is no `file` or `body` for this `contentType`; expected one of them";
    file.problemAtKey(draft, "contentType", "unused-field", message);
  }
  return {
    hasAnswer: answers.length > 0,
    status,
    contentType: draft.contentType ?? contentTypeOf(draft.file ?? ""),
    body,
    location: draft.redirect,
    stale: readStale(file, draft, match),
  };
}

function readBody(file: File, draft: FallbackDraft, files: ReferencedFiles, status: number): string {
  const hasFile = file.has(draft, "file");
  if (hasFile && file.has(draft, "body")) {
    const message = "this fallback has both `file` and `body`; expected one of them";
    file.problem(draft, undefined, "fallback-body", message);
  }
  const read = draft.file === undefined ? undefined : files.read(file, draft, "file", draft.file);
  const body = read ?? draft.body ?? "";
  if (body.length > MOST_BYTES || Buffer.byteLength(body) > MOST_BYTES) {
    const message = `${quoted(draft.file ?? "body")} is too large for a fallback; expected at most ${formatSize(MOST_BYTES)}`;
    file.problem(draft, hasFile ? "file" : "body", "fallback-body", message);
  }
  if (BODYLESS.has(status) && body !== "") {
    const message = `an answer of ${status} has no body; expected another status`;
    file.problem(draft, "status", "fallback-body", message);
  }
  return body;
}

function checkRedirect(file: File, draft: FallbackDraft, status: number): void {
  if (!file.has(draft, "redirect")) {
    // Without a Location a client can do nothing with it, and 304 and 305 are no answers to most requests.
    if (status < 300 || status > 399) return;
    const message = `an answer of ${status} without \`redirect\` leads nowhere; expected \`redirect\`, or another status`;
    file.problem(draft, "status", "fallback-redirect", message);
    return;
  }
  if (file.has(draft, "file") || file.has(draft, "body")) {
    const message = "this fallback has both a `redirect` and a body; expected one of them";
    file.problem(draft, "redirect", "fallback-redirect", message);
  }
  if (draft.status !== undefined && !REDIRECTS.has(status)) {
    const message = `\`status\` is ${status}; expected 301, 302, 303, 307 or 308 for a redirect`;
    file.problem(draft, "status", "fallback-redirect", message);
  }
  const target = draft.redirect;
  if (target === undefined || target.startsWith("/")) return;
  const url = URL.canParse(target) ? new URL(target) : undefined;
  if (url !== undefined && url.username === "" && url.password === "") return;
  const found =
    url === undefined ? "is no URL" : "carries a name or a password, which every client would see";
  const message = `\`redirect\` is ${quoted(target)}; it ${found}; expected one such as https://example.com/busy`;
  file.problem(draft, "redirect", "invalid-redirect", message);
}

function readStale(file: File, draft: FallbackDraft, match: RouteMatch | undefined): StalePolicy | undefined {
  if (draft.stale === undefined) return undefined;
  const methods = match?.methods ?? [];
  if (methods.length > 0 && !methods.includes("GET")) {
    const message = "only answers to GET are kept and the route takes none; expected GET among `methods`";
    file.problemAtKey(draft, "stale", "unused-field", message);
  }
  const given: StaleDraft = typeof draft.stale === "number" ? { for: draft.stale } : draft.stale;
  const size = given.size ?? STALE_SIZE;
  const largest = given.largest ?? Math.min(STALE_LARGEST, size);
  if (largest > size) {
    const message = `\`largest\` is more than the ${formatSize(size)} of \`size\`; expected less`;
    file.problem(given, file.has(given, "largest") ? "largest" : undefined, "out-of-range", message);
  }
  return { for: given.for ?? 0, size, largest };
}

function contentTypeOf(file: string): string {
  if (/\.html?$/i.test(file)) return "text/html; charset=utf-8";
  if (/\.json$/i.test(file)) return "application/json";
  return "text/plain; charset=utf-8";
}
