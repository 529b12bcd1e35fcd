/** What a client sends behind its Upgrade, kept until a unit agrees; reading on is how its leaving is noticed. */
import type { Socket } from "node:net";

const MOST_KEPT = 65_536;

export class UpgradeHead {
  readonly #socket: Socket;
  #kept: Buffer[];
  #bytes: number;
  readonly #onData = (chunk: Buffer): void => {
    this.#kept.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes > MOST_KEPT) this.#socket.pause();
  };
  readonly #onEnd = (): void => {
    this.#socket.destroy();
  };

  constructor(socket: Socket, head: Buffer) {
    this.#socket = socket;
    this.#kept = [head];
    this.#bytes = head.length;
    socket.on("data", this.#onData);
    socket.on("end", this.#onEnd);
    socket.resume();
  }

  /** Everything so far; from here on the socket is the caller's. */
  take(): Buffer {
    this.#socket.off("data", this.#onData);
    this.#socket.off("end", this.#onEnd);
    this.#socket.pause();
    const all = Buffer.concat(this.#kept);
    this.#kept = [];
    return all;
  }
}
