/**
 * What the control plane sends to systems of others: to hosts that are on a list, whose address is resolved once and pinned,
 * without redirects, with a deadline, and reading no more than is bounded.
 *
 * Errors name no address: some are secrets.
 */
import { createHmac } from "node:crypto";
import { lookup } from "node:dns/promises";
import { type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { BlockList, isIP } from "node:net";

const MOST_ANSWER = 64 * 1024;

/** Addresses that no name may lead to; whoever means them writes them themselves. */
const INNER = new BlockList();
INNER.addSubnet("127.0.0.0", 8);
INNER.addSubnet("169.254.0.0", 16);
INNER.addSubnet("0.0.0.0", 8);
INNER.addAddress("::1", "ipv6");
INNER.addAddress("::", "ipv6");
INNER.addSubnet("fe80::", 10, "ipv6");
INNER.addSubnet("::ffff:0:0", 96, "ipv6");

export interface Outgoing {
  readonly url: URL;
  /** JSON, unless its headers say otherwise. */
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds, of all of it. */
  readonly timeout: number;
}

export interface Incoming {
  readonly status: number;
  readonly text: string;
}

/** Whether a host, with its port or without, is one that may be called. */
export function isListed({ host, hostname }: URL, hosts: readonly string[]): boolean {
  return hosts.includes(host) || hosts.includes(hostname);
}

/** `t=UNIX,v1=HEX`: HMAC-SHA256 of `UNIX.BODY`. @param now milliseconds since 1970 */
export function signatureOf(body: string, secret: string, now: number): string {
  const at = Math.floor(now / 1000);
  return `t=${at},v1=${createHmac("sha256", secret).update(`${at}.${body}`).digest("hex")}`;
}

/** @throws Error when there was no whole answer; whatever was answered is no error */
export async function post({ url, body, headers, timeout }: Outgoing): Promise<Incoming> {
  const signal = AbortSignal.timeout(timeout);
  const name = url.hostname.replace(/^\[|\]$/g, "");
  const address = await pinned(name, signal, timeout);
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
          ...headers,
        },
      },
      resolve,
    );
    outgoing.on("error", (error) => reject(signal.aborted ? new Error(`no answer in ${timeout} ms`) : error));
    outgoing.end(body);
  });
  const text = await textOf(answer, signal, timeout);
  return { status: answer.statusCode ?? 0, text };
}

/** @throws Error when the name leads to what only the machine itself should reach */
export async function pinned(name: string, signal: AbortSignal, timeout: number): Promise<string> {
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
