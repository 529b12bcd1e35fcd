/** Which gateways a client's certificate speaks for. */
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";

export interface ClientCertificate {
  /** Whom it is of; empty: of no gateway. */
  readonly gateways: readonly string[];
  /** Milliseconds since 1970. */
  readonly until: number;
}

/** How a gateway is named. */
export const GATEWAY_NAME = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$";
const NAME = new RegExp(GATEWAY_NAME);
const URI = "tidegate:gateway:";

/** The verified certificate of a connection, undefined where none was shown, or why it is not believed. */
export function clientCertificate(socket: Socket): ClientCertificate | string | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  const shown = socket.getPeerCertificate();
  if (Object.keys(shown ?? {}).length === 0) return undefined;
  if (!socket.authorized) return `${socket.authorizationError ?? "it is not verified"}`;
  const { subject, subjectaltname, valid_to: until } = shown;
  const gateways = gatewaysOf(subjectaltname, subject?.CN);
  return { gateways, until: Date.parse(until) };
}

/**
 * A URI `tidegate:gateway:NAME` says it best: where there is one, nothing else counts. Else the DNS names do, and the
 * common name only where there is no other name at all.
 */
export function gatewaysOf(alternatives: string | undefined, commonName: unknown): string[] {
  const names = alternativesOf(alternatives ?? "");
  const uris = names.filter(([kind, value]) => kind === "URI" && value.startsWith(URI));
  if (uris.length > 0) return uris.map(([, value]) => value.slice(URI.length)).filter((n) => NAME.test(n));
  const found = names.length > 0 ? names.filter(([kind]) => kind === "DNS").map(([, v]) => v) : [commonName];
  return found.filter((name) => typeof name === "string" && NAME.test(name)) as string[];
}

/** `DNS:a, URI:b`; a value with a comma or a quote in it is quoted, so that it cannot pass for two. */
function alternativesOf(text: string): [kind: string, value: string][] {
  const names: [string, string][] = [];
  const one = /([^:,"]+):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y;
  while (one.lastIndex < text.length) {
    const found = one.exec(text);
    // What cannot be read whole is not believed in parts.
    if (found === null) return [["unreadable", ""]];
    names.push([found[1]!, found[2]!]);
  }
  return names;
}
