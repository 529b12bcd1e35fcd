/** The change of `fleet.yaml` that says what was measured: the text that people review, comments and all. Pure. */
import { isMap, parseDocument } from "yaml";

/**
 * @param capacities unit → requests per second to write
 * @returns the new text; or why it cannot be written for them
 */
export function proposedFleet(
  text: string,
  capacities: ReadonlyMap<string, number>,
): { readonly text: string } | { readonly problem: string } {
  const document = parseDocument(text);
  for (const [unit, rps] of capacities) {
    const node = document.getIn(["units", unit], true);
    if (!isMap(node)) {
      return { problem: `fleet.yaml does not write unit ${unit} out; write its capacity by hand: ${rps}rps` };
    }
    node.set("capacity", `${rps}rps`);
  }
  return { text: document.toString({ lineWidth: 0, flowCollectionPadding: true }) };
}

/** What is left of a measured rate after a margin, rounded down to what people read. @param margin share, 0 to 1 */
export function withMargin(rate: number, margin: number): number {
  const left = rate * (1 - margin);
  const step = 10 ** Math.max(0, Math.floor(Math.log10(left)) - 1);
  return Math.max(1, Math.floor(left / step) * step);
}
