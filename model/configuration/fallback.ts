import type { Fallback } from "../route.ts";
import { type Draft, type DraftFile, quoted } from "./draft.ts";
import { formatSize } from "./quantity.ts";
import type { ReferencedFiles } from "./referenced-files.ts";
import type { RoutesShape } from "./routes-schema.ts";

type FallbackDraft = NonNullable<NonNullable<Draft<RoutesShape>["routes"]>[number]["fallback"]>;

/** Fallbacks live in memory, in the snapshot and in every gateway. */
const MOST_BYTES = 1_048_576;
const BODYLESS = new Set([204, 205, 304]);

export function readFallback(
  file: DraftFile<RoutesShape>,
  draft: FallbackDraft,
  files: ReferencedFiles,
): Fallback {
  const status = draft.status ?? 200;
  const hasFile = file.has(draft, "file");
  if (hasFile === file.has(draft, "body")) {
    const found = hasFile ? "has both `file` and `body`" : "has neither `file` nor `body`";
    file.problem(draft, undefined, "fallback-body", `this fallback ${found}; expected one of them`);
  }
  const read = draft.file === undefined ? undefined : files.read(file, draft, "file", draft.file);
  const body = read ?? draft.body ?? "";
  if (body.length > MOST_BYTES || Buffer.byteLength(body) > MOST_BYTES) {
    const message = `${quoted(draft.file ?? "body")} is too large for a fallback; expected at most ${formatSize(MOST_BYTES)}`;
    file.problem(draft, hasFile ? "file" : "body", "fallback-body", message);
  }
  if (BODYLESS.has(status) && body !== "") {
    file.problem(
      draft,
      "status",
      "fallback-body",
      `an answer of ${status} has no body; expected another status`,
    );
  }
  return { status, contentType: draft.contentType ?? contentTypeOf(draft.file ?? ""), body };
}

function contentTypeOf(file: string): string {
  if (/\.html?$/i.test(file)) return "text/html; charset=utf-8";
  if (/\.json$/i.test(file)) return "application/json";
  return "text/plain; charset=utf-8";
}
