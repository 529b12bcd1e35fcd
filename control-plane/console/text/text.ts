/** The words of whoever is looking. */
import { useConsole } from "../data/console.ts";
import type { Language } from "../data/preferences.ts";
import { useStore } from "../data/store.ts";
import { en, type Text } from "./en.ts";
import { zh } from "./zh.ts";

export const TEXTS: Readonly<Record<Language, Text>> = { en, zh };
/** As browsers and HTML name them. */
export const TAGS: Readonly<Record<Language, string>> = { en: "en", zh: "zh-CN" };

export function useText(): Text {
  return TEXTS[useStore(useConsole().preferences.language)];
}

/** A word for a state; what nobody has a word for stands as it came. */
export function stateText(text: Text, state: string): string {
  return Object.hasOwn(text.state, state) ? text.state[state as keyof Text["state"]] : state;
}
