/** A gateway as the control plane sees it: a stream, verified snapshots, acknowledgements, a report a second. No traffic. */
import { createHash, type KeyObject, verify } from "node:crypto";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import type { Agent } from "undici";
import { configFrom, type Manifest, type Publication } from "../../model/snapshot.ts";

export interface SimulatedOptions {
  readonly origin: string;
  readonly name: string;
  readonly token: string | undefined;
  readonly key: KeyObject;
  readonly agent: Agent;
  /** It has a revision, whole and verified; called before the acknowledgement is sent. */
  readonly onRevision: (revision: number) => void;
  readonly onError: (error: Error) => void;
}

/** Manifests whose sections were read by one of them. */
const checked = new Set<string>();

export class SimulatedGateway {
  readonly #options: SimulatedOptions;
  readonly #stop = new AbortController();
  #sections = new Map<string, string>();
  #manifest: Manifest | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SimulatedOptions) {
    this.#options = options;
  }

  /** @param phase so that not all report in the same moment (ms) */
  start(phase: number): void {
    void this.#listen().catch((error: Error) => {
      if (!this.#stop.signal.aborted) this.#options.onError(error);
    });
    this.#timer = setTimeout(() => {
      this.#timer = setInterval(() => void this.#report(), 1_000);
    }, phase);
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearInterval(this.#timer);
    this.#stop.abort();
  }

  async #listen(): Promise<void> {
    const { body, statusCode } = await this.#request("GET", "stream", undefined);
    if (statusCode !== 200) throw new Error(`${statusCode}: ${await body.text()}`);
    const parser = createParser({ onEvent: (event) => this.#onEvent(event) });
    const decoder = new TextDecoder();
    for await (const chunk of body as AsyncIterable<Uint8Array>)
      parser.feed(decoder.decode(chunk, { stream: true }));
  }

  #onEvent({ event, data }: EventSourceMessage): void {
    if (event !== "snapshot") return;
    const { manifest: text, signature, sections: sent } = JSON.parse(data) as Publication;
    const { key, onRevision, onError } = this.#options;
    if (!verify(null, Buffer.from(text), key, Buffer.from(signature, "base64"))) {
      onError(new Error("a signature is wrong"));
      return;
    }
    const manifest = JSON.parse(text) as Manifest;
    const sections = new Map<string, string>();
    const named = new Map<string, string>();
    for (const [name, digest] of Object.entries(manifest.sections)) {
      const known = this.#sections.get(digest);
      const section = known ?? sent[digest] ?? "";
      if (known === undefined && createHash("sha256").update(section).digest("base64url") !== digest) {
        onError(new Error(`section ${name} is wrong or missing`));
        return;
      }
      sections.set(digest, section);
      named.set(name, section);
    }
    // On a machine of its own each would do this at the same time; here they take turns on one core.
    if (!checked.has(text)) {
      configFrom(named);
      checked.clear();
      checked.add(text);
    }
    this.#sections = sections;
    this.#manifest = manifest;
    const { epoch, revision } = manifest;
    onRevision(revision);
    void this.#say("acks", { epoch, revision, outcome: "applied", reasons: [] });
  }

  async #report(): Promise<void> {
    if (this.#manifest === undefined) return;
    const { epoch, revision } = this.#manifest;
    const unit = { healthy: true, inflight: 10, rate: 100, drained: 0 };
    await this.#say("reports", { epoch, revision, units: { u0: unit, u1: unit, u2: unit } });
  }

  async #say(what: string, said: object): Promise<void> {
    try {
      const { body, statusCode } = await this.#request("POST", what, JSON.stringify(said));
      await body.dump();
      if (statusCode >= 300) this.#options.onError(new Error(`${what}: ${statusCode}`));
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#options.onError(error as Error);
    }
  }

  #request(method: "GET" | "POST", what: string, body: string | undefined) {
    const { origin, name, token, agent } = this.#options;
    return agent.request({
      origin,
      path: `/v1/gateways/${name}/${what}`,
      method,
      body: body ?? null,
      headers: {
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      signal: this.#stop.signal,
    });
  }
}
