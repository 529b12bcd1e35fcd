/** What never leaves this machine: there a secret may go without TLS. */
import { isIPv4 } from "node:net";

/** @param name a host as a flag or a URL has it: `127.0.0.1`, `::1`, `[::1]`, `localhost` */
export function isLoopback(name: string): boolean {
  const host = name.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}
