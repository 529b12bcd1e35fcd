/** Reads the channels of `alerts.yaml`. */
import type { Channel, ChannelKind } from "../alerts/alerts.ts";
import { placesOf } from "../alerts/template.ts";
import type { AlertsShape } from "./alerts-schema.ts";
import { type Draft, type DraftFile, oneOf } from "./draft.ts";

type ChannelDraft =
  NonNullable<Draft<AlertsShape>["channels"]> extends ReadonlyMap<string, infer C> ? C : never;
type Key = keyof ChannelDraft & string;

/** Kind → fields that it needs (`a|b`: one of them), and those that it may have. */
const FIELDS: Readonly<Record<ChannelKind, readonly [needs: readonly string[], may: readonly Key[]]>> = {
  webhook: [["url|url-from", "secret-from"], []],
  slack: [["url-from"], []],
  dingtalk: [["url-from"], ["secret-from"]],
  feishu: [["url-from"], ["secret-from"]],
  wecom: [["url-from"], []],
  alertmanager: [["url|url-from"], ["token-from"]],
  email: [
    ["smtp", "from", "to"],
    ["user", "password-from"],
  ],
  provider: [
    ["url|url-from", "body"],
    ["token-from", "secret-from", "to"],
  ],
};
const ALL: readonly Key[] = [
  "url",
  "url-from",
  "secret-from",
  "token-from",
  "to",
  "from",
  "smtp",
  "user",
  "password-from",
  "body",
];
/** What the body of a provider may name. */
const PLACES = ["text", "title", "severity", "to", "link", "ack", "id"];
const ADDRESS = /^[^\s<>@,;:"\\]{1,64}@[A-Za-z0-9.-]{1,190}$/;

export function readChannel(
  file: DraftFile<AlertsShape>,
  name: string,
  draft: ChannelDraft,
): Channel | undefined {
  const { kind, url, smtp, to = [], from, user, body, line, timeout = 5_000 } = draft;
  if (kind === undefined) return undefined;
  const [needs, may] = FIELDS[kind];
  for (const need of needs) {
    const given = need.split("|").filter((key) => file.has(draft, key));
    if (given.length === 1) continue;
    const what = oneOf(need.split("|").map((key) => `\`${key}\``));
    const message = `a channel of kind ${kind} needs ${what}${given.length > 1 ? ", and not both" : ""}`;
    file.problem(draft, given[1], given.length === 0 ? "missing-field" : "unused-field", message);
  }
  const known = new Set<string>([...needs.flatMap((need) => need.split("|")), ...may]);
  for (const key of ALL) {
    if (!file.has(draft, key) || known.has(key)) continue;
    file.problemAtKey(draft, key, "unused-field", `\`${key}\` means nothing to a channel of kind ${kind}`);
  }
  if (url !== undefined) checkUrl(file, draft, "url", url, ["http:", "https:"]);
  if (smtp !== undefined) checkUrl(file, draft, "smtp", smtp, ["smtp:", "smtps:"]);
  if (kind === "email") {
    const wrong = [...to, ...(from === undefined ? [] : [from])].find((one) => !ADDRESS.test(one));
    if (wrong !== undefined) {
      const key = wrong === from ? "from" : "to";
      file.problem(
        draft,
        key,
        "invalid-address",
        `\`${wrong}\` is no address; expected one such as sre@example.com`,
      );
    }
  }
  if (body !== undefined && !isJson(body)) {
    file.problem(draft, "body", "invalid-json", '`body` is no JSON; expected one such as {"say": "…"}');
  }
  const wrong = placesOf(body ?? "").find((place) => !PLACES.includes(place));
  if (wrong !== undefined) file.unknown(draft, "body", "value", wrong, PLACES);
  return {
    ...{ name, kind, url, to, from, smtp, user, body, line, timeout },
    urlFrom: draft["url-from"],
    secretFrom: draft["secret-from"],
    tokenFrom: draft["token-from"],
    passwordFrom: draft["password-from"],
  };
}

function checkUrl(
  file: DraftFile<AlertsShape>,
  draft: object,
  key: string,
  text: string,
  protocols: readonly string[],
): void {
  const url = URL.parse(text);
  const expected = `${protocols[1]}//host.example.com`;
  if (url === null || !protocols.includes(url.protocol) || url.hostname === "") {
    file.problem(draft, key, "invalid-url", `\`${key}\` is no address; expected one such as ${expected}`);
  } else if (url.username !== "" || url.password !== "") {
    const message = `\`${key}\` holds a name or a password; expected it in a variable of the environment`;
    file.problem(draft, key, "invalid-url", message);
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
