/** The revision that a writer saw: by `expect` in the body, or by If-Match. */
import { Refused } from "../refused.ts";

interface Headers {
  readonly "if-match"?: string | undefined;
}

/**
 * @returns undefined when the writer does not say
 * @throws Refused when it cannot be understood: taken for silence, it would overwrite what somebody else wrote
 */
export function seen(headers: Headers, expect: number | undefined): number | undefined {
  const given = headers["if-match"];
  if (given === undefined || given === "*") return expect;
  const [, number] = /^"(\d{1,10})"$/.exec(given) ?? [];
  if (number === undefined) {
    throw new Refused("bad-request", 'if-match is no revision; expected its number in quotes, such as "12"');
  }
  if (expect !== undefined && expect !== Number(number)) {
    throw new Refused("bad-request", `if-match says revision ${number}, and expect says ${expect}`);
  }
  return Number(number);
}
