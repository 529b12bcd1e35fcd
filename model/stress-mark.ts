/**
 * The mark of stress traffic: a header that says which unit is stressed, by which run, until when and how fast, signed
 * with an Ed25519 key whose public half gateways know. What carries it is no user's, and who has no key cannot make one.
 *
 * `v1;fleet=double11;unit=sh;run=evening-1;exp=1794355200;rate=2000;kid=Qm9yZWRvbQ12;sig=…`, with `measure=1` behind the
 * rate where the unit's `capacity` is what is to be found out: one text per mark, with its
 * fields in this order, so that a gateway may know a mark that it has checked by its text.
 *
 * Pure: signing an Ed25519 text takes no chance.
 */
import { createHash, createPublicKey, type KeyObject, sign, verify } from "node:crypto";

/** A request carries it, and so does what a unit is sent. */
export const STRESS_HEADER = "x-tidegate-stress";
/** A mark lasts at most so long (ms). */
export const LONGEST_MARK = 3_600_000;
/** Two clocks differ by at most this (ms), where a mark seems to last longer than any may. */
const CLOCKS = 300_000;
/** Characters of a mark; what is longer is none. */
export const MOST_MARK = 512;
/** Requests per second that a mark may name. */
export const MOST_RATE = 1_000_000_000;
/** A run's name, as those of units. */
export const RUN_PATTERN = "^[a-z0-9][a-z0-9._-]{0,62}$";

export const EXPIRED = "the mark has expired; mint another";

/** So that a signature of this key on anything else is no mark. */
const DOMAIN = "tidegate-stress-mark\n";
const NAME = "[a-z0-9][a-z0-9._-]{0,62}";
const MARK = new RegExp(
  `^v1;fleet=(${NAME});unit=(${NAME});run=(${NAME});exp=([1-9]\\d{0,11})(?:;rate=([1-9]\\d{0,9}))?(;measure=1)?` +
    ";kid=([\\w-]{12});sig=([\\w-]{86})$",
);
const RUN = new RegExp(RUN_PATTERN);

export interface StressMark {
  readonly fleet: string;
  readonly unit: string;
  readonly run: string;
  /** Milliseconds since 1970, whole seconds. */
  readonly expires: number;
  /** Requests per second that one gateway takes of the run; undefined: as many as its unit may have. */
  readonly rate: number | undefined;
  /**
   * What was said of the unit's capacity does not hold it back: that is what is measured. Only runs that the control plane
   * watches get it. Everything else that protects users still does.
   */
  readonly measure?: true;
}

/** A mark as it came: nothing is believed of it yet. */
export interface ReadMark extends StressMark {
  /** The key that it says it was signed with. */
  readonly kid: string;
  readonly signed: string;
  readonly signature: Buffer;
}

/** @returns undefined when it is no mark */
export function readMark(text: string): ReadMark | undefined {
  if (text.length > MOST_MARK) return undefined;
  const match = MARK.exec(text);
  if (match === null) return undefined;
  const [, fleet, unit, run, exp, rate, measure, kid, sig] = match as unknown as [string, ...string[]];
  const signature = Buffer.from(sig!, "base64url");
  // The last character has spare bits: one signature is one text.
  if (signature.toString("base64url") !== sig || Number(rate ?? 1) > MOST_RATE) return undefined;
  return {
    fleet: fleet!,
    unit: unit!,
    run: run!,
    expires: Number(exp) * 1_000,
    rate: rate === undefined ? undefined : Number(rate),
    ...(measure === undefined ? {} : { measure: true as const }),
    kid: kid!,
    signed: text.slice(0, text.lastIndexOf(";sig=")),
    signature,
  };
}

/**
 * @param key an Ed25519 private key
 * @throws RangeError where the mark is none that could be read again
 */
export function signMark({ fleet, unit, run, expires, rate, measure }: StressMark, key: KeyObject): string {
  const exp = Math.floor(expires / 1_000);
  const kid = keyIdOf(key);
  const signed =
    `v1;fleet=${fleet};unit=${unit};run=${run};exp=${exp}` +
    `${rate === undefined ? "" : `;rate=${rate}`}${measure === true ? ";measure=1" : ""};kid=${kid}`;
  const signature = sign(null, Buffer.from(DOMAIN + signed), key).toString("base64url");
  const text = `${signed};sig=${signature}`;
  if (readMark(text) === undefined)
    throw new RangeError(`${signed} is no mark; expected names and whole numbers`);
  return text;
}

export function isSigned({ signed, signature }: ReadMark, key: KeyObject): boolean {
  return verify(null, Buffer.from(DOMAIN + signed), key, signature);
}

/**
 * Whether it holds at a moment.
 *
 * @param now milliseconds since 1970
 * @returns what is wrong with it, or undefined
 */
export function wrongTime({ expires }: StressMark, now: number): string | undefined {
  if (expires <= now) return EXPIRED;
  return expires - now > LONGEST_MARK + CLOCKS ? "the mark lasts longer than an hour" : undefined;
}

export function isRun(name: string): boolean {
  return RUN.test(name);
}

/** Tells key pairs apart. @param key either half */
export function keyIdOf(key: KeyObject): string {
  return createHash("sha256").update(publicDer(key)).digest("base64url").slice(0, 12);
}

/** The public half on one line, as configurations name it. @param key either half */
export function publicText(key: KeyObject): string {
  return publicDer(key).toString("base64");
}

function publicDer(key: KeyObject): Buffer {
  const half = key.type === "private" ? createPublicKey(key) : key;
  return half.export({ type: "spki", format: "der" });
}

/** @param text base64 of an Ed25519 public key (SPKI) · @returns undefined when it is none */
export function publicKeyFrom(text: string): KeyObject | undefined {
  if (!/^[A-Za-z0-9+/]{59}=$/.test(text)) return undefined;
  try {
    const key = createPublicKey({ key: Buffer.from(text, "base64"), format: "der", type: "spki" });
    return key.asymmetricKeyType === "ed25519" ? key : undefined;
  } catch {
    return undefined;
  }
}
