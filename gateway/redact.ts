/**
 * What of a request's header may be shown: names, and the values of fields that carry no secrets. Everything else is
 * its length; who the user is becomes a pseudonym that is the same for this gateway's life.
 */
import { createHash } from "node:crypto";
import type { HeaderList } from "../model/header-list.ts";

const MOST_FIELDS = 32;
const MOST_NAME = 64;
const MOST_VALUE = 200;

/** Fields that say how a request is made. Whatever a secret is called, it is not called this. */
const SHOWN = new Set([
  ...["accept", "accept-encoding", "accept-language", "cache-control", "connection", "content-encoding"],
  ...["content-length", "content-type", "expect", "forwarded", "host", ":authority", "if-modified-since"],
  ...["origin", "priority", "range", "referer", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform"],
  ...["sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "te", "traceparent", "transfer-encoding"],
  ...["upgrade", "user-agent", "via", "x-correlation-id", "x-forwarded-for", "x-forwarded-host"],
  ...["x-forwarded-proto", "x-request-id"],
]);
/** Shown to nobody, whatever the settings say. */
const SECRET =
  /auth|cookie|credential|jwt|key|passw|secret|session|signature|token|^baggage$|^x-tidegate-stress$/;
/** A secret in a field that has none. */
const SECRET_VALUE = /^\s*(?:basic|bearer|digest|negotiate)\s|\beyJ[\w-]{8,}\.[\w-]+\./i;
const REDACTED = "[redacted]";

export interface Shown {
  /** Further fields that are shown; lower-case. */
  readonly also: ReadonlySet<string>;
  /** Fields that name a user or a tenant; lower-case. */
  readonly users: ReadonlySet<string>;
  /** Of this start of the gateway alone. */
  readonly salt: string;
}

export function redacted(raw: HeaderList, shown: Shown): Record<string, string> {
  const fields: Record<string, string> = Object.create(null) as Record<string, string>;
  let count = 0;
  for (let i = 0; i < raw.length && count < MOST_FIELDS; i += 2) {
    const name = raw[i]!.slice(0, MOST_NAME).toLowerCase();
    if (Object.hasOwn(fields, name)) continue;
    fields[name] = shownValue(name, raw[i + 1]!, shown);
    count++;
  }
  return { ...fields };
}

function shownValue(name: string, value: string, { also, users, salt }: Shown): string {
  if (users.has(name)) return pseudonym(value, salt);
  if (SECRET.test(name) || SECRET_VALUE.test(value)) return REDACTED;
  if (!SHOWN.has(name) && !also.has(name)) return `[${value.length} characters]`;
  return shortened(value);
}

/** Without a query, and no longer than people read. */
function shortened(value: string): string {
  const query = value.indexOf("?");
  const bare = query === -1 ? value : `${value.slice(0, query)}?…`;
  return bare.length > MOST_VALUE ? `${bare.slice(0, MOST_VALUE - 1)}…` : bare;
}

/** The same for the same user, and no way back. */
export function pseudonym(value: string, salt: string): string {
  return `user-${createHash("sha256").update(salt).update(value).digest("hex").slice(0, 12)}`;
}
