/** Language and theme. */
import { useConsole } from "../data/console.ts";
import { LANGUAGES, THEMES } from "../data/preferences.ts";
import { useStore } from "../data/store.ts";
import { TAGS, TEXTS, useText } from "../text/text.ts";

export function Switches() {
  const { preferences } = useConsole();
  const text = useText();
  const theme = useStore(preferences.theme);
  const language = useStore(preferences.language);
  return (
    <div class="switches">
      <select
        aria-label={text.session.theme}
        value={theme}
        onChange={(event) => preferences.theme.set(event.currentTarget.value as typeof theme)}
      >
        {THEMES.map((one) => (
          <option key={one} value={one}>
            {text.session.themes[one]}
          </option>
        ))}
      </select>
      <select
        aria-label={text.session.language}
        value={language}
        onChange={(event) => preferences.language.set(event.currentTarget.value as typeof language)}
      >
        {LANGUAGES.map((one) => (
          <option key={one} value={one} lang={TAGS[one]}>
            {TEXTS[one].language}
          </option>
        ))}
      </select>
    </div>
  );
}
