/** Two sockets that speak to each other after a 101, with backpressure both ways. */
import type { ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { IncomingHttpHeaders } from "undici/types/header.js";
import { type Deadlines, TICK, Waiting } from "./deadlines.ts";
import type { Placed } from "../model/fences.ts";
import type { StressMark } from "../model/stress-mark.ts";
import { reset } from "./reset.ts";
import { http1Head } from "./response-head.ts";

/** A tunnel without a byte in either direction for this long is taken for dead. */
const IDLE = 10 * 60_000;

/** The client's 101: the unit's fields (extensions, protocol, accept key), with our own Connection and Upgrade. */
function tunnelHead(headers: IncomingHttpHeaders): string {
  const flat = http1Head(headers, 101);
  let text = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n";
  for (let i = 0; i < flat.length; i += 2) text += `${flat[i]}: ${flat[i + 1]}\r\n`;
  return `${text}\r\n`;
}

/** The tunnels of one thread. */
export class Tunnels {
  readonly #deadlines: Deadlines;
  readonly #open = new Set<Tunnel>();
  /** Those of stress traffic among them. */
  readonly #marked = new Map<Tunnel, StressMark>();

  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines;
  }

  /**
   * Answers 101 to the client and joins its socket to the unit's.
   *
   * @param unitId row of the unit · @param placed whose it is · @param mark that it was opened with
   * @param early what the client sent behind its request · @param onClosed called once, when both ends are closed
   */
  open(
    unitId: number,
    placed: Placed,
    mark: StressMark | undefined,
    response: ServerResponse,
    unit: Duplex,
    headers: IncomingHttpHeaders,
    early: Buffer,
    onClosed: () => void,
  ): void {
    const client = response.socket!;
    response.detachSocket(client);
    // Either side may have said its last and still listen; undici made its socket for answers, which end both ways.
    unit.allowHalfOpen = true;
    const tunnel: Tunnel = new Tunnel(this.#deadlines, unitId, placed, client, unit, () => {
      this.#open.delete(tunnel);
      this.#marked.delete(tunnel);
      onClosed();
    });
    this.#open.add(tunnel);
    if (mark !== undefined) this.#marked.set(tunnel, mark);
    tunnel.open(tunnelHead(headers), early);
  }

  /** Closes those to units whose drain does not wait for them any longer. */
  closeDrained(closed: Int32Array): void {
    for (const tunnel of [...this.#open]) if (closed[tunnel.unitId] === 1) tunnel.close();
  }

  /** Closes those of stress traffic whose run is over. */
  closeOver(isOver: (mark: StressMark) => boolean): void {
    for (const [tunnel, mark] of [...this.#marked]) if (isOver(mark)) tunnel.close();
  }

  /** Closes those of users whose slots are fenced. @returns how many */
  closeFenced(isFenced: (placed: Placed) => boolean): number {
    const fenced = [...this.#open].filter(({ placed }) => isFenced(placed));
    for (const tunnel of fenced) tunnel.cut();
    return fenced.length;
  }
}

class Tunnel extends Waiting {
  readonly unitId: number;
  readonly placed: Placed;
  readonly #deadlines: Deadlines;
  readonly #client: Duplex;
  readonly #unit: Duplex;
  readonly #onClosed: () => void;
  #closed = false;

  constructor(
    deadlines: Deadlines,
    unitId: number,
    placed: Placed,
    client: Duplex,
    unit: Duplex,
    onClosed: () => void,
  ) {
    super();
    this.unitId = unitId;
    this.placed = placed;
    this.#deadlines = deadlines;
    this.#client = client;
    this.#unit = unit;
    this.#onClosed = onClosed;
  }

  /** @param head the client's 101 · @param early what the client sent behind its request */
  open(head: string, early: Buffer): void {
    this.#touch();
    this.#deadlines.add(this);
    this.#join(this.#client, this.#unit);
    this.#join(this.#unit, this.#client);
    this.#client.write(head, "latin1");
    if (early.length > 0) this.#unit.write(early);
  }

  override onOverdue(): void {
    this.close();
  }

  #join(from: Duplex, to: Duplex): void {
    from.on("data", (chunk: Buffer) => {
      this.#touch();
      if (!to.write(chunk)) from.pause();
    });
    to.on("drain", () => from.resume());
    from.on("end", () => to.end());
    from.on("error", () => this.close());
    from.on("close", () => this.close());
    from.resume();
  }

  #touch(): void {
    this.deadline = this.#deadlines.coarseNow + TICK + IDLE;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#deadlines.remove(this);
    this.#client.destroy();
    this.#unit.destroy();
    this.#onClosed();
  }

  /** Closes it so that the unit gets no more of what was sent. */
  cut(): void {
    if (!this.#closed) reset(this.#unit);
    this.close();
  }
}
