/**
 * The route that a unit's data system, or the control plane itself, tells of a transfer: it closes what is to move, and says
 * whether the data is there. The call is the control plane's hook, passed on as it came: body and signature.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { FastifyInstance } from "fastify";
import { type Closing, MOST_SLOTS } from "../model/slot-ownership.ts";
import type { SlotRange } from "../model/slots.ts";
import type { UnitGuard } from "./unit-guard.ts";

/** What a catch-up is asked about. */
export interface Transfer extends Closing {
  /** Where they go; of one that is taken back, where they came to. */
  readonly unit: string;
  readonly back: boolean;
}

export interface CatchUpOptions {
  /** E.g. `/tidegate/catch-up`. */
  readonly path: string;
  /** The control plane's TIDEGATE_HOOK_SECRET. */
  readonly secret: string;
  /** Whether all that was written before has arrived where it goes: false is answered 202, and asked again. */
  readonly arrived?: (transfer: Transfer) => boolean | Promise<boolean>;
}

interface Options extends CatchUpOptions {
  readonly guard: UnitGuard;
  readonly now: () => number;
}

/** A signature is taken for so long (s): calls are tried again, and clocks differ. */
const LASTS = 300;
const MOST_BODY = 1024 * 1024;

export async function registerCatchUp(app: FastifyInstance, options: Options): Promise<void> {
  const { guard, path, secret, arrived = () => true } = options;
  if (secret === "") throw new Error("the catch-up's secret is empty; expected TIDEGATE_HOOK_SECRET");
  app.removeAllContentTypeParsers();
  // What was signed is the text, byte for byte.
  app.addContentTypeParser(
    "application/json",
    { parseAs: "string", bodyLimit: MOST_BODY },
    (_request, text, done) => done(null, text),
  );
  app.post<{ Body: unknown }>(path, async (request, reply) => {
    const { body: text } = request;
    const signature = request.headers["tidegate-signature"];
    const problem = (status: number, detail: string): unknown =>
      reply
        .code(status)
        .type("application/problem+json")
        .send({ type: "urn:tidegate:problem:guard-catch-up", title: "Nothing was closed", status, detail });
    if (typeof text !== "string") return problem(415, "expected a catch-up's JSON");
    if (!isSigned(text, signature, secret, options.now())) {
      return problem(
        401,
        "expected tidegate-signature by the secret that the control plane signs hooks with",
      );
    }
    const transfer = transferOf(text);
    if (typeof transfer === "string") return problem(400, transfer);
    let closed: number;
    try {
      closed = guard.close(transfer);
    } catch (error) {
      request.log.error(
        { reason: (error as Error).message },
        "what a catch-up closes cannot be kept on disk",
      );
      return problem(503, "what is closed could not be kept, and a restart would forget it; see the disk");
    }
    const isThere = await arrived(transfer);
    return reply.code(isThere ? 200 : 202).send({ unit: guard.unit, closed, arrived: isThere });
  });
}

/** `t=UNIX,v1=HEX`: HMAC-SHA256 of `UNIX.BODY`. @param now milliseconds since 1970 */
function isSigned(text: string, field: unknown, secret: string, now: number): boolean {
  const [, at, hex] = /^t=(\d{1,12}),v1=([0-9a-f]{64})$/.exec(typeof field === "string" ? field : "") ?? [];
  if (at === undefined || hex === undefined) return false;
  const expected = createHmac("sha256", secret).update(`${at}.${text}`).digest();
  if (!timingSafeEqual(expected, Buffer.from(hex, "hex"))) return false;
  return Math.abs(now / 1000 - Number(at)) <= LASTS;
}

/** @returns why it is none, as a sentence */
function transferOf(text: string): Transfer | string {
  let transfer: Partial<Record<keyof Transfer, unknown>> | undefined;
  try {
    transfer = (JSON.parse(text) as { transfer?: object } | null)?.transfer;
  } catch {
    return "the body is no JSON";
  }
  if (typeof transfer !== "object" || transfer === null)
    return "expected the `transfer` that a catch-up is told of";
  const { slots, keys, epoch, revision, unit, back } = transfer;
  if (!isCount(epoch) || !isCount(revision)) return "epoch and revision are expected to be whole numbers";
  if (!Array.isArray(slots) || slots.length > MOST_SLOTS || !slots.every(isRange)) {
    return `slots are expected as ranges { first, last } below ${MOST_SLOTS}`;
  }
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === "string")) {
    return "keys are expected as a list of texts";
  }
  return { slots, keys, epoch, revision, unit: String(unit), back: back === true };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isRange(value: unknown): value is SlotRange {
  const { first, last } = (value ?? {}) as Partial<SlotRange>;
  return isCount(first) && isCount(last) && first <= last && last < MOST_SLOTS;
}
