/** Listens to one answer on its way to the client, and keeps it if it may be kept and comes whole. */
import type { IncomingHttpHeaders } from "undici/types/header.js";
import type { StaleQuestion } from "./stale-entry.ts";
import type { Permission } from "./stale-rules.ts";

/** What a recorder needs of its cache. */
export interface RecorderHost {
  /** Decides on the header. @returns undefined when the answer is not to be kept */
  judge(recorder: Recorder, status: number, headers: IncomingHttpHeaders): Permission | undefined;
  /** Makes room for so many bytes more. @returns false when there is none, and the recorder was stopped */
  reserve(recorder: Recorder, bytes: number): boolean;
  release(recorder: Recorder): void;
  /** The answer came whole; the recorder was released. */
  keep(recorder: Recorder, permission: Permission, body: Buffer): void;
}

/** Where the length is not known, memory is taken in steps that double from here. */
const FIRST = 4_096;
const NOTHING = Buffer.alloc(0);

export class Recorder {
  readonly question: StaleQuestion;
  /** Milliseconds, when the request began. */
  readonly startedAt: number;
  // The cache's own: bytes that are reserved for it, what it would be stored under, and with which fields.
  reserved = 0;
  name = "";
  fields: readonly string[] = [];
  readonly #host: RecorderHost;
  readonly #largest: number;
  #permission: Permission | undefined;
  /** −1 where the header names no length. */
  #declared = -1;
  #body: Buffer = NOTHING;
  #length = 0;

  /** @param largest bytes of a body */
  constructor(host: RecorderHost, question: StaleQuestion, startedAt: number, largest: number) {
    this.#host = host;
    this.question = question;
    this.startedAt = startedAt;
    this.#largest = largest;
  }

  /**
   * The answer that the client is given begins: not one that is retried.
   *
   * @param headers lower-case names, a list where a field came more than once
   * @returns false when it is not recorded; nothing more need be told then
   */
  head(status: number, headers: IncomingHttpHeaders): boolean {
    const permission = this.#host.judge(this, status, headers);
    if (permission === undefined) return false;
    const declared = headers["transfer-encoding"] === undefined ? Number(headers["content-length"]) : -1;
    // A length that cannot be read is NaN, and fails as too long.
    if (!(declared <= this.#largest)) {
      this.abandon();
      return false;
    }
    this.#declared = declared;
    this.#permission = permission;
    return true;
  }

  /** Copies the bytes: the chunk may lie in a buffer that is used again, or would be held by it. */
  data(chunk: Buffer): void {
    if (this.#permission === undefined) return;
    const length = this.#length + chunk.length;
    const most = this.#declared === -1 ? this.#largest : this.#declared;
    if (length > most) {
      this.abandon();
      return;
    }
    if (length > this.#body.length) {
      const capacity =
        this.#declared === -1 ? Math.min(most, Math.max(FIRST, length, this.#body.length * 2)) : most;
      if (!this.#host.reserve(this, capacity - this.#body.length)) return;
      // Not from Node's pool, of which every small piece would hold 8 KiB.
      const larger = Buffer.allocUnsafeSlow(capacity);
      this.#body.copy(larger, 0, 0, this.#length);
      this.#body = larger;
    }
    chunk.copy(this.#body, this.#length);
    this.#length = length;
  }

  /** The answer came whole. Without this call nothing is kept. */
  end(): void {
    const permission = this.#permission;
    if (permission === undefined) return;
    const length = this.#length;
    let body = this.#body;
    this.abandon();
    if (this.#declared !== -1 && length !== this.#declared) return;
    if (length < body.length) {
      const exact = Buffer.allocUnsafeSlow(length);
      body.copy(exact, 0, 0, length);
      body = exact;
    }
    this.#host.keep(this, permission, body);
  }

  /** The answer broke off, or is too large: whatever was copied is let go. May be called at any time. */
  abandon(): void {
    this.#permission = undefined;
    this.#body = NOTHING;
    this.#length = 0;
    this.#host.release(this);
  }
}
