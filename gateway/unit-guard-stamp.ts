/** What a gateway says of a request to a unit, read by the unit. */
import type { IncomingHttpHeaders } from "node:http";
import { MOST_SLOTS, type Stamp } from "../model/slot-ownership.ts";

/** Of a request that came through a gateway; what its handlers may know of it. */
export interface GuardedRequest extends Stamp {
  /** The unit that the gateway meant. */
  readonly unit: string;
  /** W3C trace context, to go on with. */
  readonly traceparent: string | undefined;
  readonly baggage: string | undefined;
}

/** The longest stamp of a key that is placed by hand: percent-encoded. */
const LONGEST_PIN = 8_192;

/** @returns why it cannot be read, as a sentence; undefined where no gateway said anything */
export function readStamp(headers: IncomingHttpHeaders): GuardedRequest | string | undefined {
  // A field that comes twice is joined by Node with a comma, which none of these has.
  const unit = headers["x-tidegate-unit"] as string | undefined;
  const epochText = headers["x-tidegate-epoch"] as string | undefined;
  const slotText = headers["x-tidegate-slot"] as string | undefined;
  const pinText = headers["x-tidegate-pin"] as string | undefined;
  if (unit === undefined) {
    if (epochText === undefined && slotText === undefined && pinText === undefined) return undefined;
    return "x-tidegate-unit is missing, and other fields of a gateway are not";
  }
  if (unit === "" || unit.length > 256 || unit.includes(",")) return "x-tidegate-unit is not one unit";
  const epoch = numberOf(epochText);
  if (epoch === undefined) return "x-tidegate-epoch is not one decimal number of at most 15 digits";
  const slot = slotText === undefined ? -1 : numberOf(slotText);
  if (slot === undefined || slot >= MOST_SLOTS)
    return `x-tidegate-slot is not one number below ${MOST_SLOTS}`;
  const pin = pinText === undefined ? undefined : keyOf(pinText);
  if (pinText !== undefined && (pin === undefined || slot === -1)) {
    return "x-tidegate-pin is not one percent-encoded key of a slot";
  }
  const traceparent = headers.traceparent as string | undefined;
  const baggage = headers.baggage as string | undefined;
  return { unit, slot, epoch, pin, traceparent, baggage };
}

/** Decimal digits only, within what a number holds exactly. */
function numberOf(text: string | undefined): number | undefined {
  if (text === undefined || text.length === 0 || text.length > 15) return undefined;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c < 0x30 || c > 0x39) return undefined;
  }
  return Number(text);
}

function keyOf(text: string): string | undefined {
  if (text === "" || text.length > LONGEST_PIN || text.includes(",")) return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
