/** Where the API may listen: on loopback, or with TLS, or where somebody said out loud that it goes without. */
import { isLoopback } from "../../host/loopback.ts";
import type { ListenerTlsFiles } from "./listener-tls.ts";

export interface ListenerFlags {
  readonly host: string;
  readonly dev?: boolean;
  readonly insecureHttp?: boolean;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsClientCa?: string;
}

/** What is wrong with them. */
export function wrongListener(flags: ListenerFlags): string | undefined {
  const { host, dev, insecureHttp, tlsCert, tlsKey, tlsClientCa } = flags;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    return "--tls-cert and --tls-key go together; one of them is missing";
  }
  if (tlsClientCa !== undefined && tlsCert === undefined) {
    return "--tls-client-ca needs --tls-cert and --tls-key, since client certificates are part of TLS";
  }
  if (insecureHttp === true && tlsCert !== undefined) {
    return "--insecure-http and --tls-cert say opposite things; expected one of them";
  }
  if (isLoopback(host)) return undefined;
  if (dev === true) return `--dev asks for no token, so it listens on loopback only; --host is ${host}`;
  if (tlsCert === undefined && insecureHttp !== true) {
    return (
      `--host is ${host}, where tokens would travel in the clear; expected --tls-cert and --tls-key, ` +
      "or --insecure-http where something in front of it speaks TLS"
    );
  }
  return undefined;
}

export function tlsFiles({ tlsCert, tlsKey, tlsClientCa }: ListenerFlags): ListenerTlsFiles | undefined {
  if (tlsCert === undefined || tlsKey === undefined) return undefined;
  return { cert: tlsCert, key: tlsKey, clientCa: tlsClientCa };
}
