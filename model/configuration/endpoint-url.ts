import { Refusal } from "./draft.ts";

const EXPECTED = "expected http or https, a host and perhaps a port, such as http://10.0.0.1:8080";

/** The origin of an endpoint's address in one spelling, or why it is none. */
export function readEndpointUrl(text: string): string | Refusal {
  const refuse = (why: string): Refusal => new Refusal("invalid-endpoint", `${why}; ${EXPECTED}`);
  const match = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#\\]*)(.*)$/.exec(text);
  if (match === null || text.length > 512) return new Refusal("invalid-endpoint", EXPECTED);
  const [, scheme = "", authority = "", rest = ""] = match;
  if (!/^https?$/i.test(scheme)) return refuse(`\`${scheme}\` is not spoken to endpoints`);
  if (authority.includes("@")) return refuse("an address must not carry credentials");
  if (rest !== "" && rest !== "/") return refuse("an address has no path, query or fragment");
  if (!/^[\x21-\x7e]+$/.test(authority) || authority.endsWith(":"))
    return new Refusal("invalid-endpoint", EXPECTED);
  const url = URL.parse(`${scheme}://${authority}`);
  if (url === null) return new Refusal("invalid-endpoint", EXPECTED);
  if (url.port === "0") return refuse("nothing listens on port 0");
  return url.origin;
}
