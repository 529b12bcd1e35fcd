/** How a gateway reaches its control plane: whom it trusts, and the certificate that it proves itself with. */
import type { Logger } from "pino";
import { Agent, type buildConnector, type Dispatcher } from "undici";
import { FileWatch } from "../host/file-watch.ts";
import { readAuthorities, readKeyPair } from "../host/tls-files.ts";

export interface ConnectionFiles {
  /** Who signed the control plane's certificate; undefined: an authority that the system trusts. */
  readonly ca: string | undefined;
  /** With a key: this gateway's certificate. */
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

export interface ConnectionTimeouts {
  /** Milliseconds. */
  readonly connect: number;
  /** Milliseconds that a stream may be silent. */
  readonly silent: number;
}

export class ControlPlaneConnection {
  readonly #files: ConnectionFiles;
  readonly #timeouts: ConnectionTimeouts;
  readonly #log: Logger;
  readonly #watch: FileWatch;
  readonly #agents = new Set<Agent>();
  #agent: Agent;

  /** @throws Error with a sentence for people when a file cannot be used */
  constructor(files: ConnectionFiles, timeouts: ConnectionTimeouts, log: Logger) {
    this.#files = files;
    this.#timeouts = timeouts;
    this.#log = log;
    this.#watch = new FileWatch(() => this.#reload());
    const paths = [files.ca, files.cert, files.key].filter((path) => path !== undefined);
    if (paths.length > 0) this.#watch.follow(paths);
    try {
      this.#agent = this.#make();
    } catch (error) {
      this.#watch.stop();
      throw error;
    }
  }

  /**
   * @param stop ends it, also while its answer comes
   * @throws Error also when no answer begins in time: an agent that is closed for a new certificate may forget a request
   */
  async request(
    options: Dispatcher.RequestOptions & { readonly origin: string },
    stop?: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const { connect, silent } = this.#timeouts;
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new Error("no answer in time")), connect + silent);
    const signal = stop === undefined ? late.signal : AbortSignal.any([late.signal, stop]);
    try {
      return await this.#agent.request({ ...options, signal });
    } finally {
      clearTimeout(timer);
    }
  }

  stop(): void {
    this.#watch.stop();
    for (const agent of this.#agents) void agent.destroy().catch(() => {});
  }

  #make(): Agent {
    const { ca, cert, key } = this.#files;
    const pair =
      cert === undefined || key === undefined
        ? {}
        : readKeyPair({ flag: "--client-cert", file: cert }, { flag: "--client-key", file: key });
    const trust = ca === undefined ? {} : { ca: readAuthorities({ flag: "--control-plane-ca", file: ca }) };
    const connect: buildConnector.BuildOptions = { timeout: this.#timeouts.connect, ...trust, ...pair };
    const { silent } = this.#timeouts;
    const agent = new Agent({ connect, headersTimeout: silent, bodyTimeout: silent });
    this.#agents.add(agent);
    return agent;
  }

  /** The stream goes on as it began; the next connection has the new certificate. */
  #reload(): void {
    try {
      const before = this.#agent;
      this.#agent = this.#make();
      void before
        .close()
        .catch(() => {})
        .finally(() => this.#agents.delete(before));
      this.#log.info("certificate for the control plane reloaded");
    } catch (error) {
      const reason = (error as Error).message;
      this.#log.error({ reason }, "the new certificate for the control plane is refused; the old one stays");
    }
  }
}
