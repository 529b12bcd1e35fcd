/** What somebody likes better: kept by the browser, and nothing that anybody else must not see. */
import { Store } from "./store.ts";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];
export const LANGUAGES = ["en", "zh"] as const;
export type Language = (typeof LANGUAGES)[number];

export class Preferences {
  readonly theme: Store<Theme>;
  readonly language: Store<Language>;

  /** @param storage may be forbidden · @param spoken languages of the browser, best first */
  constructor(storage: Storage | undefined, spoken: readonly string[]) {
    const read = <T extends string>(name: string, allowed: readonly T[], otherwise: T): T => {
      const found = quietly(() => storage?.getItem(`tidegate.${name}`));
      return allowed.find((one) => one === found) ?? otherwise;
    };
    const isChinese = spoken[0]?.toLowerCase().startsWith("zh") ?? false;
    this.theme = new Store(read("theme", THEMES, "system"));
    this.language = new Store(read("language", LANGUAGES, isChinese ? "zh" : "en"));
    for (const [name, store] of [
      ["theme", this.theme],
      ["language", this.language],
    ] as const) {
      store.listen(() => quietly(() => storage?.setItem(`tidegate.${name}`, store.value)));
    }
  }
}

function quietly<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    // A browser may keep nothing at all.
    return undefined;
  }
}
