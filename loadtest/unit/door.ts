/** The unit's listening socket, which can be shut and opened again on the same port, and its connections. */
import type { Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** Between two tries to listen again, when another process borrowed the port meanwhile. */
const RETRY_MS = 50;

export class Door {
  readonly #server: Server;
  readonly sockets = new Set<Socket>();
  #port = 0;
  #host = "127.0.0.1";
  #retry: NodeJS.Timeout | undefined;

  constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket) => {
      this.sockets.add(socket);
      socket.once("close", () => this.sockets.delete(socket));
      socket.on("error", () => socket.destroy()); // An upgraded socket has nobody else to listen.
    });
  }

  /** The port, which stays the same while the door is shut. */
  get port(): number {
    return this.#port;
  }

  get host(): string {
    return this.#host;
  }

  /** Port 0 takes a free one. @throws the listen error, e.g. EADDRINUSE */
  async open(port: number, host: string): Promise<number> {
    this.#host = host;
    await this.#listen(port);
    this.#port = (this.#server.address() as AddressInfo).port;
    return this.#port;
  }

  /** From here on connections are refused, and those that exist are cut. */
  shut(): void {
    clearTimeout(this.#retry);
    this.#server.close();
    this.cut();
  }

  async reopen(): Promise<void> {
    clearTimeout(this.#retry);
    if (this.#server.listening) return;
    try {
      await this.#listen(this.#port);
    } catch {
      this.#retry = setTimeout(() => void this.reopen(), RETRY_MS);
    }
  }

  /** Takes no new connection, waits up to `grace` ms for the requests under way, then cuts what is left. */
  async close(grace: number): Promise<void> {
    clearTimeout(this.#retry);
    if (!this.#server.listening) return this.cut();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.cut(), grace);
      this.#server.close(() => {
        clearTimeout(timer);
        this.cut();
        resolve();
      });
      this.#server.closeIdleConnections();
      this.#server.keepAliveTimeout = 1; // A connection that becomes idle from here on closes as well.
      this.#server.keepAliveTimeoutBuffer = 0;
    });
  }

  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  #listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, this.#host, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
  }
}
