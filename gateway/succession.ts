/** Whether a publication may follow what is served: a gateway never goes back. */
import { isNewer, type Manifest } from "../model/snapshot.ts";

/**
 * @param current what is served
 * @param reached how far it ever came, where nothing is served yet
 * @returns why it may not; undefined: it may
 */
export function refusalOf(
  next: Manifest,
  current: Manifest | undefined,
  reached: Pick<Manifest, "epoch" | "revision">,
): string | undefined {
  const { epoch, revision } = current ?? reached;
  if (current === undefined) {
    if (!isNewer({ ...next, ...reached }, next)) return undefined;
    return `it is older than revision ${revision} of epoch ${epoch}, which was served here`;
  }
  if (!isNewer(next, current)) {
    return `it is older than revision ${revision} of epoch ${epoch}, which is served`;
  }
  if (next.fleet === current.fleet) return undefined;
  return `it is of the fleet ${next.fleet}, and this gateway is of ${current.fleet}`;
}
