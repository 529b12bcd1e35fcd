/** The big red thing: what needs a person, and the way there. */
import { useState } from "preact/hooks";
import { useConsole } from "./data/console.ts";
import { type Need, needsOf } from "./data/needs.ts";
import { useResource } from "./data/resource.ts";
import { may, type Person, type ShownAlert } from "./data/shapes.ts";
import { useStore } from "./data/store.ts";
import { OverrideDialog } from "./override.tsx";
import { to } from "./router.ts";
import type { Text } from "./text/en.ts";
import { TAGS, useText } from "./text/text.ts";
import { momentText } from "./ui/format.ts";
import { useTime } from "./ui/time.tsx";

/** Lines that are shown; whoever has more has one big problem. */
const MOST = 4;
/** Names in one line. */
const MOST_NAMES = 5;
/** A stream that is gone for so long (ms) is told loudly. */
const LOST = 3_000;

interface Alerts {
  readonly alerts: readonly ShownAlert[];
}

export function Needs({ person }: { readonly person: Person }) {
  const { fleet, operations, preferences, ambient } = useConsole();
  const text = useText();
  const stream = useStore(fleet.stream.state);
  const language = TAGS[useStore(preferences.language)];
  const [asked, setAsked] = useState<string | undefined>();
  const time = useTime();
  const needs = needsOf({
    fleet: useStore(fleet.now),
    executions: useStore(operations.executions),
    details: useStore(operations.details),
    overrides: useStore(operations.overrides),
    alerts: useResource<Alerts>("/v1/alerts", { follow: true, every: 5_000 }).data?.alerts ?? [],
    now: time,
  });
  const isLost = stream.state === "lost" && ambient.now() - stream.since > LOST;
  return (
    <>
      <div class="needs" aria-live="assertive">
        {isLost && <p class="lost">{text.live.lostBanner(momentText(stream.since, language))}</p>}
        {needs.length > 0 && (
          <section class="banner" aria-label={text.need.title(needs.length)}>
            <h2>{text.need.title(needs.length)}</h2>
            <ul>
              {needs.slice(0, MOST).map((need) => (
                <li key={JSON.stringify(need)}>
                  <span>{wordsOf(need, text)}</span>
                  {need.kind === "override" ? (
                    may(person.role, "approver") &&
                    need.askedBy !== person.name && (
                      <button type="button" onClick={() => setAsked(need.id)}>
                        {text.need.look}
                      </button>
                    )
                  ) : (
                    <a href={linkOf(need)}>{text.need.look}</a>
                  )}
                </li>
              ))}
              {needs.length > MOST && <li>{text.need.more(needs.length - MOST)}</li>}
            </ul>
          </section>
        )}
      </div>
      {asked !== undefined && <OverrideDialog id={asked} onClose={() => setAsked(undefined)} />}
    </>
  );
}

function linkOf(need: Exclude<Need, { kind: "override" }>): string {
  switch (need.kind) {
    case "unit-down":
      return need.units.length === 1 ? to("units", need.units[0]!) : to("fleet");
    case "execution-held":
    case "execution-approval":
      return to("executions", need.id);
    case "gateway-refuses":
    case "gateway-behind":
    case "gateway-silent":
      return to("revisions");
    case "alert":
      return to("alerts");
  }
}

function wordsOf(need: Need, text: Text): string {
  const names = (all: readonly string[]): string =>
    `${all.slice(0, MOST_NAMES).join(", ")}${all.length > MOST_NAMES ? ` ${text.need.more(all.length - MOST_NAMES)}` : ""}`;
  switch (need.kind) {
    case "unit-down":
      return text.need.unitDown(names(need.units));
    case "execution-held":
      return text.need.executionHeld(need.id, need.plan, need.says);
    case "execution-approval":
      return text.need.executionApproval(need.id, need.plan, need.owner, need.role);
    case "gateway-refuses":
      return text.need.gatewayRefuses(names(need.gateways), need.reason);
    case "gateway-behind":
      return text.need.gatewayBehind(names(need.gateways), need.revision);
    case "gateway-silent":
      return text.need.gatewaySilent(names(need.gateways));
    case "alert":
      return text.need.alert(need.rule, need.summary);
    case "override":
      return text.need.override(need.rule, need.askedBy);
  }
}
