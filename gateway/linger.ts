/**
 * Ends a connection whose client is still sending: the answer out, then the end of our side, and what still comes is
 * thrown away for a while. Closing at once would reset the connection, and the reset can overtake the answer
 * (RFC 9112 §9.6; nginx calls it lingering_close).
 */
import type { Socket } from "node:net";
import { type Deadlines, TICK, Waiting } from "./deadlines.ts";

/** A client that has not closed by then is cut off. */
const LONGEST = 2_000;

/** Called before an answer with `Connection: close`; HTTP/2 ends streams, not connections. */
export function linger(deadlines: Deadlines, socket: (Socket & { destroySoon(): void }) | null): void {
  if (socket === null || typeof socket.destroySoon !== "function") return;
  // Node ends the connection behind its last answer by this method of the socket.
  socket.destroySoon = () => {
    socket.end();
    socket.resume();
    new Lingering(deadlines, socket).begin();
  };
}

class Lingering extends Waiting {
  readonly #deadlines: Deadlines;
  readonly #socket: Socket;

  constructor(deadlines: Deadlines, socket: Socket) {
    super();
    this.#deadlines = deadlines;
    this.#socket = socket;
  }

  begin(): void {
    this.deadline = this.#deadlines.coarseNow + TICK + LONGEST;
    this.#deadlines.add(this);
    this.#socket.once("end", () => this.#socket.destroy());
    this.#socket.once("close", () => this.#deadlines.remove(this));
  }

  override onOverdue(): void {
    this.#socket.destroy();
  }
}
