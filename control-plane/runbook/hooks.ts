/**
 * Calls to systems of the user's own: signed, to hosts that the control plane was started with, and nowhere else.
 *
 * A plan is written by many and read by few, so its addresses are not trusted: the host has to be on the list, its address
 * is resolved once and pinned, redirects are not followed, and what is answered is bounded.
 *
 * Signature: `tidegate-signature: t=UNIX,v1=HEX`, HMAC-SHA256 of `UNIX.BODY` with the shared secret.
 */
import type { HookCall } from "../../model/plan-step.ts";
import { isListed, post, signatureOf } from "../outbound.ts";

export interface HookOptions {
  /** `host` or `host:port`, as plans name them. */
  readonly hosts: readonly string[];
  /** Undefined: nothing is called. */
  readonly secret: string | undefined;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export type HookResult =
  | { readonly ok: true; readonly status: number; readonly answer: unknown }
  | { readonly ok: false; readonly reason: string };

/** What the engine needs of them. */
export type Caller = Pick<Hooks, "call" | "refusal">;

export class Hooks {
  readonly #options: HookOptions;

  constructor(options: HookOptions) {
    this.#options = options;
  }

  /** @returns why a call would not be made */
  refusal({ url }: Pick<HookCall, "url">): string | undefined {
    const { hosts, secret } = this.#options;
    const { host } = new URL(url);
    if (!isListed(new URL(url), hosts)) {
      return `${host} is not a host that may be called; start the control plane with --hook-host ${host}`;
    }
    if (secret === undefined) return "there is no secret to sign with; set TIDEGATE_HOOK_SECRET";
    return undefined;
  }

  /**
   * One attempt. Never throws.
   *
   * @param key the same for the same call, however often it is made
   */
  async call(call: HookCall, about: object, key: string): Promise<HookResult> {
    const refused = this.refusal(call);
    if (refused !== undefined) return { ok: false, reason: refused };
    const data = call.body === undefined ? {} : { data: JSON.parse(call.body) as unknown };
    const body = JSON.stringify({ ...about, ...data });
    try {
      return await this.#send(new URL(call.url), body, key, call.timeout);
    } catch (error) {
      return { ok: false, reason: `${call.url}: ${(error as Error).message}` };
    }
  }

  async #send(url: URL, body: string, key: string, timeout: number): Promise<HookResult> {
    const headers = {
      "idempotency-key": key,
      "tidegate-signature": signatureOf(body, this.#options.secret!, this.#options.now()),
    };
    const { status, text } = await post({ url, body, headers, timeout });
    if (status < 200 || status > 299) return { ok: false, reason: `${url.href} answered ${status}` };
    return { ok: true, status, answer: parse(text) };
  }
}

/** What is no JSON says nothing. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
