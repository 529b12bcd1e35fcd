/**
 * Messages on their way: each was stored before it is sent, and is sent again, under its own key, until it is taken, refused
 * for good, or given up. Channels do not wait for each other; within one, the oldest that is due goes first.
 */
import type { Alerts } from "../../model/alerts/alerts.ts";
import { Refused } from "../refused.ts";
import { Unavailable } from "../store/store.ts";
import { ackToken } from "./ack-token.ts";
import type { Book, Changes, Delivery } from "./book.ts";
import type { Channels, Sent } from "./channels.ts";
import type { Links } from "./forms.ts";

export interface OutboxOptions {
  readonly book: Book;
  readonly channels: Pick<Channels, "send">;
  readonly alerts: () => Alerts | undefined;
  /** Milliseconds since 1970 that do not jump. */
  readonly now: () => number;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly onDead: (delivery: Delivery) => void;
  readonly onError: (error: Error) => void;
}

/** Messages of one channel that wait. */
export const MOST_WAITING = 100;
const MOST_ATTEMPTS = 100;
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 60_000;
/** Nobody acts on what is told an hour late. */
const GIVE_UP = 3_600_000;
const LINK_LASTS = 24 * 3_600_000;

/** A message to a channel, to be stored with what it speaks of. */
export function enqueue(changes: Changes, book: Book, message: string, channel: string, now: number): void {
  const waiting = [...book.table("alert-delivery").values()].filter(
    (one) => one.channel === channel && one.state === "waiting",
  );
  if (waiting.length >= MOST_WAITING) {
    const oldest = waiting.reduce((a, b) => (a.at <= b.at ? a : b));
    finish(changes, { ...oldest, says: `${MOST_WAITING} messages wait for this channel` }, "dead", now);
  }
  const id = `${message}~${channel}`;
  changes.put("alert-delivery", id, {
    ...{ id, message, channel, state: "waiting", at: now, attempts: 0, nextAt: now },
  });
}

export function linksOf(
  { link }: Pick<Alerts, "link">,
  key: string | undefined,
  message: string,
  channel: string,
  now: number,
): Links {
  if (link === undefined) return { alerts: undefined, ack: undefined };
  const claim = { message, channel, until: now + LINK_LASTS };
  return {
    alerts: `${link}/#/alerts`,
    ack: key === undefined ? undefined : `${link}/ack/${ackToken(claim, key)}`,
  };
}

export class Outbox {
  readonly #options: OutboxOptions;
  readonly #busy = new Set<string>();

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Sends what is due. Called often; cheap where nothing is. */
  look(): void {
    const { book, now } = this.#options;
    if (!book.isRead) return;
    const due = new Map<string, Delivery>();
    for (const one of book.table("alert-delivery").values()) {
      if (one.state !== "waiting" || one.nextAt > now() || this.#busy.has(one.channel)) continue;
      const known = due.get(one.channel);
      if (known === undefined || one.at < known.at) due.set(one.channel, one);
    }
    for (const delivery of due.values()) {
      this.#busy.add(delivery.channel);
      void this.#deliver(delivery).finally(() => {
        this.#busy.delete(delivery.channel);
      });
    }
  }

  async #deliver(delivery: Delivery): Promise<void> {
    const { book, onError } = this.#options;
    try {
      const sent = await this.#send(delivery);
      await book.change((changes) => this.#note(changes, delivery, sent));
      // The next of this channel does not wait for a clock.
      setImmediate(() => this.look());
    } catch (error) {
      // Whether it is known to be sent or not: whoever leads sends it again, under the same key.
      if (!(error instanceof Refused) && !(error instanceof Unavailable)) onError(error as Error);
    }
  }

  async #send({ id, message: of, channel: name }: Delivery): Promise<Sent> {
    const { book, channels, alerts, now } = this.#options;
    const configured = alerts();
    const channel = configured?.channels.find((one) => one.name === name);
    if (configured === undefined || channel === undefined) {
      return { ok: false, reason: "the channel is not configured any more", final: true };
    }
    const message = book.table("alert-message").get(of);
    if (message === undefined) return { ok: false, reason: "its message is not kept any more", final: true };
    const key = book.table("alert-key").get("1")?.key;
    const canAck = message.firing.length > 0;
    return await channels.send(
      channel,
      message,
      id,
      linksOf(configured, canAck ? key : undefined, of, name, now()),
    );
  }

  #note(changes: Changes, { id }: Delivery, sent: Sent): void {
    const { book, now, random, onDead } = this.#options;
    const delivery = book.table("alert-delivery").get(id);
    if (delivery === undefined || delivery.state !== "waiting") return;
    const at = now();
    const attempts = delivery.attempts + 1;
    if (sent.ok) {
      const { says: _, ...rest } = delivery;
      finish(changes, { ...rest, attempts }, "sent", at);
      return;
    }
    const failed = { ...delivery, attempts, says: sent.reason };
    if (sent.final || attempts >= MOST_ATTEMPTS || at - delivery.at >= GIVE_UP) {
      finish(changes, failed, "dead", at);
      onDead(failed);
      return;
    }
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempts - 1)) * (0.5 + random() / 2);
    changes.put("alert-delivery", id, { ...failed, nextAt: Math.round(at + pause) });
  }
}

function finish(changes: Changes, delivery: Delivery, state: "sent" | "dead", now: number): void {
  changes.put("alert-delivery", delivery.id, { ...delivery, state, endedAt: now });
  if (state === "sent") return;
  const { channel, message, says } = delivery;
  const body = JSON.stringify({ channel, message, state, says });
  changes.events.push({ at: now, type: "notification", body });
}
