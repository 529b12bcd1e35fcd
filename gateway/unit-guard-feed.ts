/**
 * Follows a control plane for a unit guard: one stream, and of every publication the manifest and the placement, verified.
 *
 * Without its control plane the guard goes on with what it has, and starts with what it had.
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import type { FastifyBaseLogger } from "fastify";
import type { Logger } from "pino";
import type { Placement } from "../model/fleet.ts";
import type { KnownPlacement } from "../model/slot-ownership.ts";
import type { Manifest, Publication } from "../model/snapshot.ts";
import { type ConnectionFiles, ControlPlaneConnection } from "./control-plane-connection.ts";
import { checkSection, signedManifest } from "./publication.ts";
import { refusalOf } from "./succession.ts";
import type { GuardFile } from "./unit-guard-file.ts";

export interface GuardFeedOptions {
  /** E.g. `https://10.0.0.5:8090`; of several, tried in turn. */
  readonly urls: readonly string[];
  /** Of the role `gateway`. */
  readonly token?: string;
  /** This process's name, unlike any other guard's; the token may be bound to it. */
  readonly name: string;
  /** The control plane's `snapshot-key.pem`: its text. */
  readonly snapshotKey: string;
  /** Files: who signed its certificate, and this guard's own. */
  readonly tls?: Partial<ConnectionFiles>;
}

/** A stream that is silent for so long (ms) is dead; the control plane beats once a second. */
const SILENT = 5_000;
const CONNECT_TIMEOUT = 2_000;
/** Between two tries to connect (ms): growing, and by name never in step with the other guards. */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 5_000;
/** The largest placement, with its names. */
const MOST_BYTES = 16 * 1024 * 1024;

interface Current {
  readonly manifest: Manifest;
  readonly publication: Publication;
  readonly digest: string;
  readonly section: string;
}

export class GuardFeed {
  readonly #options: GuardFeedOptions;
  readonly #key: KeyObject;
  readonly #file: GuardFile | undefined;
  readonly #learn: (known: KnownPlacement) => boolean;
  readonly #log: FastifyBaseLogger;
  readonly #connection: ControlPlaneConnection;
  readonly #stopped = new AbortController();
  #current: Current | undefined;
  #url = 0;
  #said = "";

  /** @throws Error with a sentence for people when the key or a certificate cannot be used */
  constructor(
    options: GuardFeedOptions,
    file: GuardFile | undefined,
    learn: (known: KnownPlacement) => boolean,
    log: FastifyBaseLogger,
  ) {
    this.#options = options;
    this.#file = file;
    this.#learn = learn;
    this.#log = log;
    if (options.urls.length === 0)
      throw new Error("the unit guard has no control plane; expected urls: [ URL ]");
    try {
      this.#key = createPublicKey(options.snapshotKey);
    } catch (error) {
      throw new Error(
        `snapshotKey is no public key (${(error as Error).message}); expected the text of the control plane's ` +
          "snapshot-key.pem",
      );
    }
    const tls = { ca: undefined, cert: undefined, key: undefined, ...options.tls };
    const timeouts = { connect: CONNECT_TIMEOUT, silent: SILENT };
    this.#connection = new ControlPlaneConnection(tls, timeouts, log as Logger);
  }

  /** Begins with what is on the disk, if it is good. */
  start(): void {
    try {
      const found = this.#file?.readPlacement();
      if (found !== undefined) this.#use(this.#verified(found));
    } catch (error) {
      this.#log.error({ reason: (error as Error).message }, "the unit guard's placement on disk is not used");
    }
    void this.#follow();
  }

  stop(): void {
    this.#stopped.abort();
    this.#connection.stop();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stopped;
    let pause = FIRST_PAUSE;
    while (!signal.aborted) {
      try {
        await this.#listen(() => {
          pause = FIRST_PAUSE;
        });
        this.#say("the stream ended");
      } catch (error) {
        this.#say((error as Error).message);
      }
      this.#url++;
      pause = Math.min(LONGEST_PAUSE, pause * 2);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pause * (0.5 + spreadOf(this.#options.name)));
        timer.unref();
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  async #listen(heard: () => void): Promise<void> {
    const { urls, token, name } = this.#options;
    const { statusCode, body } = await this.#connection.request(
      {
        origin: urls[this.#url % urls.length]!,
        path: `/v1/guards/${encodeURIComponent(name)}/stream`,
        method: "GET",
        headers: {
          accept: "text/event-stream",
          ...(this.#current === undefined ? {} : { "x-tidegate-sections": this.#current.digest }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
      },
      this.#stopped.signal,
    );
    if (statusCode !== 200) throw new Error(`${statusCode}: ${(await body.text()).slice(0, 300)}`);
    this.#said = "";
    const parser = createParser({
      onEvent: (event) => {
        heard();
        this.#onEvent(event);
      },
    });
    const decoder = new TextDecoder();
    let sinceEvent = 0;
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      const text = decoder.decode(chunk, { stream: true });
      sinceEvent = text.includes("\n\n") ? 0 : sinceEvent + text.length;
      if (sinceEvent > MOST_BYTES) throw new Error("a placement is larger than any that this guard takes");
      parser.feed(text);
    }
  }

  #onEvent({ event, data }: EventSourceMessage): void {
    if (event !== "snapshot") return;
    try {
      const next = this.#verified(JSON.parse(data) as Publication);
      const current = this.#current?.manifest;
      if (current?.epoch === next.manifest.epoch && current.revision === next.manifest.revision) return;
      const because = refusalOf(next.manifest, current, { epoch: 0, revision: 0 });
      // Another control plane that has not heard of the newest yet says what is known already.
      if (because !== undefined) this.#log.debug({ reason: because }, "a placement is not news to the guard");
      else this.#use(next);
    } catch (error) {
      const reason = (error as Error).message;
      this.#log.error({ reason }, "a placement was refused; the one before it holds");
    }
  }

  #use(next: Current): void {
    const { epoch, revision } = next.manifest;
    const isKept = this.#current?.digest === next.digest;
    this.#current = next;
    this.#learn({ leadership: epoch, revision, placement: JSON.parse(next.section) as Placement });
    if (isKept) return;
    try {
      this.#file?.writePlacement(next.publication);
    } catch (error) {
      const reason = (error as Error).message;
      this.#log.error(
        { reason },
        "the placement holds, and cannot be kept on disk: a restart would not have it",
      );
    }
  }

  /** @throws Error that says what is wrong */
  #verified({ manifest: text, signature, sections, now }: Publication): Current {
    if (typeof text !== "string" || typeof signature !== "string" || typeof sections !== "object") {
      throw new Error("it is no publication: manifest, signature or sections are missing");
    }
    const manifest = signedManifest(text, signature, this.#key);
    const digest = manifest.sections.placement ?? "";
    const held = this.#current?.digest === digest ? this.#current.section : undefined;
    const section = (Object.hasOwn(sections, digest) ? sections[digest] : undefined) ?? held;
    if (section === undefined) throw new Error("section placement is missing");
    checkSection("placement", section, digest);
    const publication = { manifest: text, signature, sections: { [digest]: section }, now };
    return { manifest, publication, digest, section };
  }

  /** Once, not at every try. */
  #say(reason: string): void {
    if (this.#stopped.signal.aborted || this.#said === reason) return;
    this.#said = reason;
    const controlPlane = this.#options.urls.join(", ");
    this.#log.warn(
      { reason, controlPlane },
      "the unit guard hears nothing of its control plane; going on without",
    );
  }
}

/** 0 to 0.5, the same for the same name. */
function spreadOf(name: string): number {
  let sum = 0;
  for (let i = 0; i < name.length; i++) sum = (sum * 31 + name.charCodeAt(i)) % 997;
  return sum / 997 / 2;
}
