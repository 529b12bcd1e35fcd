/**
 * TLS of the API's listener: its certificate, and the authority that gateways' certificates are of.
 *
 * A client certificate is asked for and not demanded, so that people with tokens come by the same port. Sessions are
 * not resumed: a connection's certificate is verified at its own handshake, by what holds then.
 */
import { constants } from "node:crypto";
import type { Server, ServerOptions } from "node:https";
import type { TLSSocket, TlsOptions } from "node:tls";
import type { Logger } from "pino";
import { FileWatch } from "../../host/file-watch.ts";
import { readAuthorities, readKeyPair } from "../../host/tls-files.ts";

export interface ListenerTlsFiles {
  readonly cert: string;
  readonly key: string;
  /** Who signs gateways' certificates; undefined: none is asked for. */
  readonly clientCa: string | undefined;
}

const HANDSHAKE_TIMEOUT = 10_000;

export class ListenerTls {
  readonly #files: ListenerTlsFiles;
  readonly #log: Logger;
  readonly #watch: FileWatch;
  /** Connections that showed a certificate: let in by it, or turned away for as long as they last. */
  readonly #certified = new Set<TLSSocket>();
  #server: Server | undefined;
  #standing: TlsOptions;

  /** @throws Error with a sentence for people when a file cannot be used */
  constructor(files: ListenerTlsFiles, log: Logger) {
    this.#files = files;
    this.#log = log;
    this.#watch = new FileWatch(() => this.#reload());
    // From before they are read, so that no change in between is lost.
    this.#watch.follow([files.cert, files.key, ...(files.clientCa === undefined ? [] : [files.clientCa])]);
    try {
      this.#standing = this.#read();
    } catch (error) {
      this.#watch.stop();
      throw error;
    }
  }

  /** For the server that is made. */
  get options(): ServerOptions {
    return {
      ...this.#standing,
      requestCert: this.#files.clientCa !== undefined,
      rejectUnauthorized: false,
      handshakeTimeout: HANDSHAKE_TIMEOUT,
    };
  }

  /** Gives the server new certificates when the files change. */
  attach(server: Server): void {
    this.#server = server;
    server.on("secureConnection", (socket) => {
      if (socket.getPeerX509Certificate() === undefined) return;
      this.#certified.add(socket);
      socket.once("close", () => this.#certified.delete(socket));
    });
  }

  stop(): void {
    this.#watch.stop();
  }

  #read(): TlsOptions {
    const { cert, key, clientCa } = this.#files;
    const pair = readKeyPair({ flag: "--tls-cert", file: cert }, { flag: "--tls-key", file: key });
    const ca =
      clientCa === undefined ? undefined : readAuthorities({ flag: "--tls-client-ca", file: clientCa });
    return {
      ...pair,
      ...(ca === undefined ? {} : { ca }),
      minVersion: "TLSv1.2",
      secureOptions: constants.SSL_OP_NO_TICKET,
    };
  }

  #reload(): void {
    try {
      const next = this.#read();
      const isOtherCa = next.ca !== this.#standing.ca;
      this.#standing = next;
      this.#server?.setSecureContext(next);
      // Whoever the old authority let in has to be let in again; gateways serve on and come back by themselves.
      if (isOtherCa) for (const socket of this.#certified) socket.destroy();
      this.#log.info({ newClientCa: isOtherCa }, "certificate reloaded");
    } catch (error) {
      this.#log.error(
        { reason: (error as Error).message },
        "the new certificate is refused; the old one serves on",
      );
    }
  }
}
