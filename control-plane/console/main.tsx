/** The page: makes real clocks and chance, and draws. */
import "uplot/dist/uPlot.min.css";
import "./style/base.css";
import "./style/frame.css";
import "./style/parts.css";
import "./style/forms.css";
import "./style/plans.css";
import "./style/pages.css";
import { render } from "preact";
import { App } from "./app.tsx";
import { Console, ConsoleContext } from "./data/console.ts";
import { Preferences } from "./data/preferences.ts";
import { place, placeOf } from "./router.ts";

const unique = (): string => {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
};

function storage(): Storage | undefined {
  try {
    return window.localStorage;
  } catch {
    // A browser may forbid it.
    return undefined;
  }
}

const preferences = new Preferences(storage(), navigator.languages);
const own = new Console({ now: () => Date.now(), random: () => Math.random(), unique }, preferences);

place.set(placeOf(location.hash));
window.addEventListener("hashchange", () => place.set(placeOf(location.hash)));
window.addEventListener("online", () => own.wake());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") own.wake();
});
void own.begin();

render(
  <ConsoleContext.Provider value={own}>
    <App />
  </ConsoleContext.Provider>,
  document.getElementById("console")!,
);
