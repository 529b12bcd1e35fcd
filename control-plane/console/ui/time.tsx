/** Moments, told from now on and kept up to date. */
import { useEffect, useState } from "preact/hooks";
import { useConsole } from "../data/console.ts";
import { useStore } from "../data/store.ts";
import { TAGS, useText } from "../text/text.ts";
import { durationText, momentText } from "./format.ts";

/** The control plane's clock, once a second. */
export function useTime(): number {
  const { fleet } = useConsole();
  const [time, setTime] = useState(fleet.time());
  useEffect(() => {
    const timer = window.setInterval(() => setTime(fleet.time()), 1_000);
    return () => window.clearInterval(timer);
  }, [fleet]);
  return time;
}

/** @param at milliseconds since 1970 */
export function Moment({ at }: { readonly at: number }) {
  const time = useTime();
  const text = useText();
  const language = TAGS[useStore(useConsole().preferences.language)];
  const away = at - time;
  const words =
    Math.abs(away) < 1_500
      ? text.common.now
      : away < 0
        ? text.common.ago(durationText(-away))
        : text.common.in(durationText(away));
  return (
    <time dateTime={new Date(at).toISOString()} title={momentText(at, language)}>
      {words}
    </time>
  );
}
