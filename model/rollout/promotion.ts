/** The change of `fleet.yaml` by which a canary becomes stable: the text that people review, comments and all. Pure. */
import { isMap, parseDocument } from "yaml";

/** @returns the new text; or why it cannot be written for them */
export function promoted(
  text: string,
  service: string,
  units: readonly string[],
): { readonly text: string } | { readonly problem: string } {
  const document = parseDocument(text);
  for (const unit of units) {
    const pool = document.getIn(["services", service, "pools", unit], true);
    const canary = isMap(pool) ? pool.get("canary", true) : undefined;
    if (!isMap(pool) || canary === undefined) {
      return {
        problem: `fleet.yaml does not write out the canary of ${service} in ${unit}; make it stable by hand, and skip this step`,
      };
    }
    pool.set("stable", canary);
    pool.delete("canary");
  }
  return { text: document.toString({ lineWidth: 0, flowCollectionPadding: true }) };
}
