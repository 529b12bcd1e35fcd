/**
 * What a link in a message proves: that its bearer was sent this message, until it is over. It acknowledges what fires of the
 * message, and nothing else.
 *
 * `MESSAGE.CHANNEL.UNTIL.MAC`, HMAC-SHA256 of what is before it with a key that the store holds.
 */
import { createHmac, timingSafeEqual } from "node:crypto";

export interface AckClaim {
  readonly message: string;
  readonly channel: string;
  /** Milliseconds since 1970. */
  readonly until: number;
}

const TOKEN = /^(am-[0-9a-z-]{1,60})~([a-z0-9][a-z0-9._-]{0,62})~([0-9a-z]{1,12})~([A-Za-z0-9_-]{43})$/;

export function ackToken({ message, channel, until }: AckClaim, key: string): string {
  const claim = `${message}~${channel}~${Math.round(until).toString(36)}`;
  return `${claim}~${macOf(claim, key)}`;
}

/** @returns undefined when it is wrong or over */
export function readAckToken(text: string, key: string, now: number): AckClaim | undefined {
  const [, message, channel, until, mac] = TOKEN.exec(text) ?? [];
  if (message === undefined || channel === undefined || until === undefined || mac === undefined)
    return undefined;
  const expected = Buffer.from(macOf(`${message}~${channel}~${until}`, key));
  if (!timingSafeEqual(expected, Buffer.from(mac))) return undefined;
  const claim = { message, channel, until: Number.parseInt(until, 36) };
  return claim.until > now ? claim : undefined;
}

function macOf(claim: string, key: string): string {
  return createHmac("sha256", Buffer.from(key, "base64url")).update(claim).digest("base64url");
}
