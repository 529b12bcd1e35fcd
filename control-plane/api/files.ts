/** The files of a base, as requests carry them. */
import { Type } from "typebox";
import { type Base, refusedFiles } from "../base.ts";
import { Refused } from "../refused.ts";

export const Files = Type.Record(Type.String(), Type.String(), {
  // Names with a line break would not be looked at otherwise.
  additionalProperties: false,
  description: "file name → text",
});

/** @throws Refused for what is no base whatever it says */
export function baseFrom(files: Readonly<Record<string, string>>): Base {
  const refused = refusedFiles(files);
  if (refused !== undefined) throw new Refused("bad-request", refused);
  return new Map(Object.entries(files));
}
