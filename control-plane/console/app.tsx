/** What everything else stands in: who is signed in, where we are, what needs a person. */
import { useEffect, useLayoutEffect } from "preact/hooks";
import { useConsole } from "./data/console.ts";
import { useStore } from "./data/store.ts";
import { Frame } from "./frame.tsx";
import { SignIn } from "./pages/sign-in.tsx";
import { TAGS, useText } from "./text/text.ts";
import { Dialog } from "./ui/dialog.tsx";

export function App() {
  const { session, preferences } = useConsole();
  const text = useText();
  const state = useStore(session);
  const theme = useStore(preferences.theme);
  const language = useStore(preferences.language);
  useLayoutEffect(() => {
    document.documentElement.dataset.theme = theme;
    document.documentElement.lang = TAGS[language];
  }, [theme, language]);
  useEffect(() => {
    if (state.state !== "on" && state.state !== "over")
      document.title = `${text.session.signIn} · ${text.brand}`;
  }, [state, text]);
  if (state.state === "unknown") return null;
  if (state.state === "none") return <SignIn />;
  return (
    <>
      {/* Nothing of one person's pages is left in another one's. */}
      <Frame key={`${state.person.name} ${state.person.role}`} person={state.person} />
      {state.state === "over" && (
        <Dialog title={text.session.over}>
          <p>{text.session.overHint}</p>
          <SignIn bare />
        </Dialog>
      )}
    </>
  );
}
