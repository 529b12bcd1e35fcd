import type { KeySource } from "../fleet.ts";
import type { DraftFile } from "./draft.ts";

const PLACES = ["header", "cookie", "query", "path"] as const;
type SourceDraft = { readonly [P in (typeof PLACES)[number]]?: string | undefined };

/** Reads `key: [ { header: x-user-id }, … ]`. */
export function readKeySources(file: DraftFile<unknown>, drafts: readonly SourceDraft[]): KeySource[] {
  const sources: KeySource[] = [];
  for (const draft of drafts) {
    const given = PLACES.filter((place) => file.has(draft, place));
    if (given.length !== 1) {
      const found = given.length === 0 ? "names no place" : `names ${given.join(" and ")} at once`;
      file.problem(
        draft,
        undefined,
        "key-source",
        `this key source ${found}; expected exactly one of header, cookie, query or path`,
      );
      continue;
    }
    const from = given[0]!;
    const name = draft[from];
    if (name !== undefined) sources.push({ from, name });
  }
  return sources;
}
