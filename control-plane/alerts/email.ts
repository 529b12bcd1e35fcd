/** One e-mail by SMTP: to a host on the list, its address pinned, encrypted wherever a password is sent. */
import { createTransport } from "nodemailer";
import { isIP } from "node:net";
import type { Channel } from "../../model/alerts/alerts.ts";
import { linesOf, type Message, titleOf } from "../../model/alerts/message.ts";
import { isListed, pinned } from "../outbound.ts";
import type { Links } from "./forms.ts";

export interface Letter {
  readonly channel: Channel;
  readonly message: Message;
  readonly links: Links;
  /** The same for the same letter, however often it is sent. */
  readonly id: string;
  readonly password: string | undefined;
}

/** @throws Error */
export async function sendLetter(
  { channel, message, links, id, password }: Letter,
  hosts: readonly string[],
): Promise<void> {
  const { smtp = "", user, from = "", to, timeout, line } = channel;
  const url = new URL(smtp);
  if (!isListed(url, hosts)) throw new Error(`${url.host} is not a host that may be called`);
  const name = url.hostname.replace(/^\[|\]$/g, "");
  const host = await pinned(name, AbortSignal.timeout(timeout), timeout);
  const secure = url.protocol === "smtps:";
  const transport = createTransport({
    host,
    port: url.port === "" ? (secure ? 465 : 587) : Number(url.port),
    secure,
    // A password is never sent in the clear.
    requireTLS: !secure && user !== undefined,
    ...(isIP(name) === 0 ? { tls: { servername: name } } : {}),
    ...(user === undefined ? {} : { auth: { user, pass: password ?? "" } }),
    connectionTimeout: timeout,
    greetingTimeout: timeout,
    socketTimeout: timeout,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not taken in ${timeout} ms`)), timeout);
  });
  const lines = linesOf(message, line);
  if (links.ack !== undefined) lines.push("", `acknowledge: ${links.ack}`);
  if (links.alerts !== undefined) lines.push("", links.alerts);
  try {
    const sent = transport.sendMail({
      from,
      to: [...to],
      subject: `[tidegate] ${titleOf(message)}`,
      text: `${lines.join("\n")}\n`,
      messageId: `<${id}@${message.group}.tidegate>`,
      headers: { "auto-submitted": "auto-generated", "x-tidegate-delivery": id },
    });
    await Promise.race([sent, late]);
  } finally {
    clearTimeout(timer);
    transport.close();
  }
}
