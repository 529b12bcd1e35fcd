import { type DraftFile, quoted } from "./draft.ts";

/** Files that the YAML files name: each is read once, and none outside the directory. */
export class ReferencedFiles {
  readonly #read: (name: string) => string | undefined;
  readonly #texts = new Map<string, string | undefined>();

  constructor(read: (name: string) => string | undefined) {
    this.#read = read;
  }

  /** Undefined when it cannot be had; the problem has been reported at the owner's field then. */
  read(file: DraftFile<unknown>, owner: object, field: string, name: string): string | undefined {
    if (!isConfined(name)) {
      const message = `${quoted(name)} leads out of the directory; expected a file below it, such as fallbacks/hall.html`;
      file.problem(owner, field, "path-outside", message);
      return undefined;
    }
    if (!this.#texts.has(name)) this.#texts.set(name, this.#read(name));
    const text = this.#texts.get(name);
    if (text === undefined) {
      file.problem(
        owner,
        field,
        "missing-file",
        `there is no readable file ${quoted(name)} in the directory`,
      );
    }
    return text;
  }
}

/** Relative, without `..`, and without what some system reads as a separator, a drive or an end. */
export function isConfined(name: string): boolean {
  if (name === "" || /[\\:\x00-\x1f\x7f]/.test(name)) return false;
  return name.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}
