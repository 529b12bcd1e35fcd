/**
 * A request's body on its way to a unit: streamed with backpressure, counted against the route's bound, and kept as
 * long as it is small, so that a failed attempt can be repeated.
 */
import { Readable } from "node:stream";
import type { IncomingMessage } from "node:http";

export type BodyFailure = "aborted" | "too-large";

/** What a body tells its exchange. */
export interface BodyListener {
  /** An attempt may begin: the body is here whole, or is on its way. Told once. */
  onBodyReady(): void;
  /** A chunk came. */
  onBodyActivity(bytes: number): void;
  onBodyEnd(): void;
  onBodyFailure(failure: BodyFailure): void;
}

const DEAF: BodyListener = {
  onBodyReady: nothing,
  onBodyActivity: nothing,
  onBodyEnd: nothing,
  onBodyFailure: nothing,
};

export class RequestBody {
  readonly #source: IncomingMessage;
  readonly #limit: number;
  readonly #replayLimit: number;
  readonly #declared: number | undefined;
  /** What arrived so far, while it is small enough to be sent again. */
  #kept: Buffer[] | undefined = [];
  #bytes = 0;
  #ended = false;
  #failure: BodyFailure | undefined;
  #started = false;
  /** An attempt has begun to go out: a server may have seen some of it. */
  #sent = false;
  #relay: BodyRelay | undefined;
  #listener: BodyListener = DEAF;
  #waits = false;
  #readySoon: NodeJS.Immediate | undefined;
  /**
   * @param limit bytes; 0 is no bound
   * @param replayLimit bytes that are kept
   * @param declared Content-Length, undefined for a chunked body
   */
  constructor(source: IncomingMessage, limit: number, replayLimit: number, declared: number | undefined) {
    this.#source = source;
    this.#limit = limit;
    this.#replayLimit = replayLimit;
    this.#declared = declared;
  }

  /** Whether a further attempt could send all of it. */
  get replayable(): boolean {
    return this.#kept !== undefined;
  }

  /** The client would send more, and the attempt takes no more. */
  get isHeldBack(): boolean {
    return this.#relay !== undefined && this.#source.isPaused();
  }

  /** A connection stands and takes the body: what is too large to be kept flows from here on. */
  sent(): void {
    if (this.#sent) return;
    this.#sent = true;
    if (this.#bytes > this.#replayLimit) this.#kept = undefined;
    if (this.#relay !== undefined) this.#source.resume();
  }

  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Begins to read. It is ready at the end of a body that came whole with its header, else on the next turn,
   * when the body is streamed. So a small body costs no stream at all, and a slow one holds nothing up.
   */
  start(listener: BodyListener): void {
    this.#started = true;
    this.#waits = true;
    this.#listener = listener;
    this.#source.on("data", (chunk: Buffer) => this.#take(chunk));
    this.#source.on("end", () => this.#end());
    this.#source.on("aborted", () => this.#fail("aborted"));
    this.#readySoon = setImmediate(() => this.#ready());
  }

  /** The body for one attempt: a Buffer when all is here, else a stream that begins with what was kept. */
  forAttempt(): Buffer | Readable | null {
    this.#relay?.cut();
    this.#relay = undefined;
    const kept = this.#kept;
    if (kept === undefined) throw new Error("the body can no longer be sent again");
    if (this.#ended) return kept.length === 0 ? null : kept.length === 1 ? kept[0]! : Buffer.concat(kept);
    this.#relay = new BodyRelay(kept, () => {
      if (this.#sent) this.#source.resume();
    });
    return this.#relay;
  }

  /** No attempt is at it for a while; what comes meanwhile is kept, as long as it is small. */
  park(): void {
    this.#relay?.cut();
    this.#relay = undefined;
    this.#listener = DEAF;
  }

  /** Another listener goes on with what was begun. */
  adopt(listener: BodyListener): void {
    this.#waits = false;
    this.#listener = listener;
  }

  /** No attempt needs the rest: let the client finish sending into nothing, or be cut off by the caller. */
  abandon(): void {
    this.#relay?.cut();
    this.#relay = undefined;
    this.#kept = undefined;
    if (this.#started) this.#source.resume();
  }

  #take(chunk: Buffer): void {
    this.#bytes += chunk.length;
    this.#listener.onBodyActivity(chunk.length);
    if (this.#limit > 0 && this.#bytes > this.#limit) {
      this.#fail("too-large");
      return;
    }
    const small = this.#bytes <= this.#replayLimit;
    if (small || !this.#sent) this.#kept?.push(chunk);
    else this.#kept = undefined;
    // Before a connection stands nothing more is read than can be kept: no server has seen it, so it can go elsewhere.
    if (!small && !this.#sent) this.#source.pause();
    if (this.#relay !== undefined && !this.#relay.push(chunk)) this.#source.pause();
    if (this.#waits && this.#bytes !== this.#declared) this.#ready();
  }

  #end(): void {
    this.#ended = true;
    this.#listener.onBodyEnd();
    this.#relay?.push(null);
    this.#ready();
  }

  #fail(failure: BodyFailure): void {
    if (this.#failure !== undefined || this.#ended) return;
    this.#failure = failure;
    this.#kept = undefined;
    this.#waits = false;
    this.#listener.onBodyFailure(failure);
  }

  #ready(): void {
    if (!this.#waits) return;
    this.#waits = false;
    clearImmediate(this.#readySoon);
    this.#listener.onBodyReady();
  }
}

/** One attempt's reading end. undici destroys the body of a failed request; destroying this leaves the client alone. */
class BodyRelay extends Readable {
  readonly #wantsMore: () => void;
  #cut = false;

  constructor(kept: readonly Buffer[], wantsMore: () => void) {
    super({ highWaterMark: 65_536 });
    this.#wantsMore = wantsMore;
    // undici destroys it with an error when the request fails; the exchange hears of that from the attempt.
    this.on("error", nothing);
    for (const chunk of kept) this.push(chunk);
  }

  override _read(): void {
    if (!this.#cut) this.#wantsMore();
  }

  /** The attempt is over; what it has not read it will not read. */
  cut(): void {
    this.#cut = true;
    this.destroy();
  }

  override push(chunk: Buffer | null): boolean {
    return this.#cut || this.destroyed ? true : super.push(chunk);
  }
}

function nothing(): void {}
