/** Sends a message to a channel: once, to a host on the list, with secrets that are in the environment and nowhere else. */
import type { Channel } from "../../model/alerts/alerts.ts";
import type { Message } from "../../model/alerts/message.ts";
import { isListed, post, signatureOf } from "../outbound.ts";
import { sendLetter } from "./email.ts";
import { FORMS, type Links, refusedBy } from "./forms.ts";

export interface ChannelsOptions {
  /** Hosts that may be called. */
  readonly hosts: readonly string[];
  /** A variable of the environment. */
  readonly secret: (name: string) => string | undefined;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export type Sent =
  | { readonly ok: true }
  /** `final`: sent again it would be refused again. */
  | { readonly ok: false; readonly reason: string; readonly final: boolean };

/** Statuses that say "later". */
const LATER = new Set([408, 425, 429]);

export class Channels {
  readonly #options: ChannelsOptions;

  constructor(options: ChannelsOptions) {
    this.#options = options;
  }

  /** Why nothing could be sent there. */
  problem(channel: Channel): string | undefined {
    const { hosts, secret } = this.#options;
    const missing = namesOf(channel).find((name) => !secret(name));
    if (missing !== undefined) return `there is no ${missing} in the control plane's environment`;
    const text = channel.kind === "email" ? channel.smtp : this.#addressOf(channel);
    const url = URL.parse(text ?? "");
    const protocols = channel.kind === "email" ? ["smtp:", "smtps:"] : ["http:", "https:"];
    if (url === null || !protocols.includes(url.protocol))
      return `${channel.urlFrom ?? "its address"} is no address`;
    if (isListed(url, hosts)) return undefined;
    return `${url.host} is not a host that may be called; start the control plane with --hook-host ${url.host}`;
  }

  /**
   * One attempt. Never throws, and says no secret.
   *
   * @param id the same for the same message, however often it is sent
   */
  async send(channel: Channel, message: Message, id: string, links: Links): Promise<Sent> {
    const problem = this.problem(channel);
    if (problem !== undefined) return { ok: false, reason: problem, final: false };
    try {
      return channel.kind === "email"
        ? await this.#mail(channel, message, id, links)
        : await this.#post(channel, channel.kind, message, id, links);
    } catch (error) {
      const { message: reason, responseCode = 0 } = error as Error & { responseCode?: number };
      return { ok: false, reason: this.#redacted(channel, reason), final: responseCode >= 500 };
    }
  }

  async #mail(channel: Channel, message: Message, id: string, links: Links): Promise<Sent> {
    const { passwordFrom } = channel;
    const password = passwordFrom === undefined ? undefined : this.#options.secret(passwordFrom);
    await sendLetter({ channel, message, links, id, password }, this.#options.hosts);
    return { ok: true };
  }

  async #post(
    channel: Channel,
    kind: keyof typeof FORMS,
    message: Message,
    id: string,
    links: Links,
  ): Promise<Sent> {
    const { now, secret: secretOf } = this.#options;
    const { secretFrom, tokenFrom, timeout } = channel;
    const secret = secretFrom === undefined ? undefined : secretOf(secretFrom);
    const token = tokenFrom === undefined ? undefined : secretOf(tokenFrom);
    const url = new URL(this.#addressOf(channel)!);
    if (kind === "alertmanager" && !url.pathname.endsWith("/api/v2/alerts")) {
      url.pathname = `${url.pathname.replace(/\/$/, "")}/api/v2/alerts`;
    }
    const { body, query = {} } = FORMS[kind](message, channel, links, secret, now());
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const isOurs = kind === "webhook" || kind === "provider";
    const headers = {
      "idempotency-key": id,
      ...(isOurs && secret !== undefined ? { "tidegate-signature": signatureOf(body, secret, now()) } : {}),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    };
    const { status, text } = await post({ url, body, headers, timeout });
    if (status < 200 || status > 299) {
      const isFinal = status >= 300 && status < 500 && !LATER.has(status);
      return { ok: false, reason: `${url.host} answered ${status}`, final: isFinal };
    }
    const refused = refusedBy(kind, text);
    if (refused === undefined) return { ok: true };
    return { ok: false, reason: this.#redacted(channel, `${url.host}: ${refused}`), final: false };
  }

  #addressOf({ url, urlFrom }: Channel): string | undefined {
    return urlFrom === undefined ? url : this.#options.secret(urlFrom);
  }

  /** Whatever a library says of what it was given. */
  #redacted(channel: Channel, text: string): string {
    let clean = text;
    for (const name of namesOf(channel)) {
      const secret = this.#options.secret(name);
      if (secret === undefined || secret === "") continue;
      clean = clean.replaceAll(secret, "***").replaceAll(Buffer.from(secret).toString("base64"), "***");
      const path = URL.parse(secret)?.pathname ?? "";
      if (path.length > 1) clean = clean.replaceAll(path, "/***");
    }
    return clean.slice(0, 300);
  }
}

/** Variables of the environment that it needs. */
export function namesOf({ urlFrom, secretFrom, tokenFrom, passwordFrom }: Channel): string[] {
  return [urlFrom, secretFrom, tokenFrom, passwordFrom].filter((name) => name !== undefined);
}
