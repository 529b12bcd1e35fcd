/**
 * A stream of server-sent events that comes back by itself.
 *
 * It does not go on where it was: who was away reads everything anew, which is the same after a second and after an hour.
 */
import { createParser } from "eventsource-parser";
import { type Api, Problem } from "./api.ts";
import { Store } from "./store.ts";

/** Time and chance are handed in. */
export interface Ambient {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** 0 to 1. */
  readonly random: () => number;
  /** Text that nobody else makes. */
  readonly unique: () => string;
}

export interface StreamOptions {
  readonly api: Api;
  readonly path: string;
  readonly ambient: Ambient;
  /** A stream that is silent for so long (ms) is dead. */
  readonly silent: number;
  /** It stands, for the first time or again. */
  readonly onOpen: () => void;
  readonly onEvent: (type: string, data: string) => void;
}

export interface StreamState {
  readonly state: "connecting" | "live" | "lost";
  /** Since when, in milliseconds since 1970. */
  readonly since: number;
}

/** Milliseconds. */
const FIRST_PAUSE = 300;
const LONGEST_PAUSE = 5_000;
const LOOK_EVERY = 1_000;

export class EventStream {
  readonly state: Store<StreamState>;
  readonly #options: StreamOptions;
  #abort: AbortController | undefined;
  #retry: number | undefined;
  #watchdog: number | undefined;
  #heardAt = 0;
  #pause = FIRST_PAUSE;
  #runs = false;

  constructor(options: StreamOptions) {
    this.#options = options;
    this.state = new Store<StreamState>({ state: "connecting", since: options.ambient.now() });
  }

  start(): void {
    if (this.#runs) return;
    this.#runs = true;
    this.#watchdog = window.setInterval(() => this.#look(), LOOK_EVERY);
    void this.#connect();
  }

  stop(): void {
    this.#runs = false;
    window.clearInterval(this.#watchdog);
    window.clearTimeout(this.#retry);
    this.#abort?.abort();
    this.#abort = undefined;
    this.#set("connecting");
  }

  /** A machine that slept, or a network that changed: what stands may be dead, and nobody says so. */
  wake(): void {
    if (!this.#runs) return;
    if (this.state.value.state === "live") this.#look();
    else this.#again(0);
  }

  #look(): void {
    const { ambient, silent } = this.#options;
    if (this.state.value.state !== "live" || Math.abs(ambient.now() - this.#heardAt) <= silent) return;
    this.#abort?.abort();
    this.#lost();
  }

  async #connect(): Promise<void> {
    const { api, path, onOpen, onEvent, ambient } = this.#options;
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    const timer = window.setTimeout(() => abort.abort(), this.#options.silent);
    try {
      const stream = await api.stream(path, abort.signal);
      window.clearTimeout(timer);
      this.#heardAt = ambient.now();
      this.#pause = FIRST_PAUSE;
      this.#set("live");
      onOpen();
      const parser = createParser({ onEvent: ({ event, data }) => onEvent(event ?? "message", data) });
      const reader = stream.pipeThrough(new TextDecoderStream() as never).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done || abort !== this.#abort) break;
        this.#heardAt = ambient.now();
        parser.feed(value as unknown as string);
      }
    } catch (error) {
      // Whoever is signed out is told by the API, and starts this again.
      if (error instanceof Problem && error.status === 401) this.#runs = false;
    } finally {
      window.clearTimeout(timer);
    }
    if (abort === this.#abort) this.#lost();
  }

  #lost(): void {
    this.#abort = undefined;
    // Whoever stopped it does not miss it.
    this.#set(this.#runs ? "lost" : "connecting");
    this.#again(this.#pause * (0.5 + this.#options.ambient.random()));
    this.#pause = Math.min(LONGEST_PAUSE, this.#pause * 2);
  }

  #again(milliseconds: number): void {
    window.clearTimeout(this.#retry);
    if (!this.#runs) {
      window.clearInterval(this.#watchdog);
      return;
    }
    this.#retry = window.setTimeout(() => void this.#connect(), milliseconds);
  }

  #set(state: StreamState["state"]): void {
    if (this.state.value.state === state) return;
    this.state.set({ state, since: this.#options.ambient.now() });
  }
}
