/**
 * Calls to systems of the user's own: signed, to hosts that the control plane was started with, and nowhere else.
 *
 * A plan is written by many and read by few, so its addresses are not trusted: the host has to be on the list, its address
 * is resolved once and pinned, redirects are not followed, and what is answered is bounded.
 *
 * Signature: `tidegate-signature: t=UNIX,v1=HEX`, HMAC-SHA256 of `UNIX.BODY` with the shared secret.
 */
import { createHmac } from "node:crypto";
import { lookup } from "node:dns/promises";
import { type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { BlockList, isIP } from "node:net";
import type { HookCall } from "../../model/plan-step.ts";

const MOST_ANSWER = 64 * 1024;

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

/** Addresses that no name may lead to; whoever means them writes them themselves. */
const INNER = new BlockList();
INNER.addSubnet("127.0.0.0", 8);
INNER.addSubnet("169.254.0.0", 16);
INNER.addSubnet("0.0.0.0", 8);
INNER.addAddress("::1", "ipv6");
INNER.addAddress("::", "ipv6");
INNER.addSubnet("fe80::", 10, "ipv6");
INNER.addSubnet("::ffff:0:0", 96, "ipv6");

export class Hooks {
  readonly #options: HookOptions;

  constructor(options: HookOptions) {
    this.#options = options;
  }

  /** @returns why a call would not be made */
  refusal({ url }: Pick<HookCall, "url">): string | undefined {
    const { hosts, secret } = this.#options;
    const { host, hostname } = new URL(url);
    if (!hosts.includes(host) && !hosts.includes(hostname)) {
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
    const signal = AbortSignal.timeout(timeout);
    const name = url.hostname.replace(/^\[|\]$/g, "");
    const address = await pinned(name, signal, timeout);
    const at = Math.floor(this.#options.now() / 1000);
    const mac = createHmac("sha256", this.#options.secret!).update(`${at}.${body}`).digest("hex");
    const send = url.protocol === "https:" ? httpsRequest : httpRequest;
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = send(
        {
          host: address,
          servername: isIP(name) === 0 ? name : "",
          port: url.port === "" ? undefined : Number(url.port),
          path: `${url.pathname}${url.search}`,
          method: "POST",
          agent: false,
          signal,
          headers: {
            host: url.host,
            "content-type": "application/json",
            "content-length": Buffer.byteLength(body),
            "idempotency-key": key,
            "tidegate-signature": `t=${at},v1=${mac}`,
          },
        },
        resolve,
      );
      outgoing.on("error", (error) =>
        reject(signal.aborted ? new Error(`no answer in ${timeout} ms`) : error),
      );
      outgoing.end(body);
    });
    const text = await textOf(answer, signal, timeout);
    const status = answer.statusCode ?? 0;
    if (status < 200 || status > 299) return { ok: false, reason: `${url.href} answered ${status}` };
    return { ok: true, status, answer: parse(text) };
  }
}

/** @throws Error when the name leads to what only the machine itself should reach */
async function pinned(name: string, signal: AbortSignal, timeout: number): Promise<string> {
  if (isIP(name) !== 0 || name === "localhost") return name === "localhost" ? "127.0.0.1" : name;
  const late = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(new Error(`its name was not resolved in ${timeout} ms`)), {
      once: true,
    });
  });
  const { address, family } = await Promise.race([lookup(name), late]);
  if (INNER.check(address, family === 6 ? "ipv6" : "ipv4")) {
    throw new Error(`${name} leads to ${address}, which no hook may call by a name`);
  }
  return address;
}

async function textOf(answer: IncomingMessage, signal: AbortSignal, timeout: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MOST_ANSWER) throw new Error(`it answers with more than ${MOST_ANSWER} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw signal.aborted ? new Error(`no whole answer in ${timeout} ms`) : error;
  } finally {
    answer.destroy();
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** What is no JSON says nothing. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
