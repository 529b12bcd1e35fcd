/**
 * W3C Baggage (https://www.w3.org/TR/baggage/): what a request carries through all that it causes. The gateway's own
 * members say that it is stress traffic; a client that says so is not heard, whatever way it writes the name.
 */
const OWN = "tidegate.";
const STRESS = "tidegate.stress";
/** What every reader has to take. */
const MOST_BYTES = 8_192;
const MOST_MEMBERS = 64;

/** @returns undefined where nothing is left */
export function withoutOwn(baggage: string): string | undefined {
  // Names may be written with percent signs, and some readers decode them.
  if (!baggage.includes("%") && !baggage.toLowerCase().includes(OWN)) return baggage;
  const kept = baggage.split(",").filter((member) => !isOwn(member));
  return kept.length === 0 ? undefined : kept.join(",");
}

/** What the client carries comes first, as far as it fits. */
export function withStress(baggage: string | undefined, run: string): string {
  const own = `${STRESS}=${run}`;
  if (baggage === undefined) return own;
  const kept: string[] = [];
  let length = own.length;
  for (const member of baggage.split(",")) {
    length += Buffer.byteLength(member) + 1;
    if (length > MOST_BYTES || kept.length === MOST_MEMBERS - 1) break;
    kept.push(member);
  }
  kept.push(own);
  return kept.join(",");
}

function isOwn(member: string): boolean {
  const end = member.search(/[=;]/);
  let key = (end === -1 ? member : member.slice(0, end)).trim();
  // Twice: a reader behind a reader may decode once more.
  for (let i = 0; i < 2 && key.includes("%"); i++) {
    try {
      key = decodeURIComponent(key).trim();
    } catch {
      break;
    }
  }
  return key.toLowerCase().startsWith(OWN);
}
