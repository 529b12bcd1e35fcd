/** Upstream servers for tests that need to see, or to send, exact bytes. */
import { once } from "node:events";
import net from "node:net";
import type { TestContext } from "node:test";

/** A TCP server that records what each connection sent and answers by a script. */
export class ByteServer {
  readonly server: net.Server;
  /** What each connection sent, as latin1. */
  readonly received: string[] = [];
  /** Moments (performance.now) at which connections were closed by the other side. */
  readonly closedAt: number[] = [];
  readonly sockets = new Set<net.Socket>();

  constructor(answer: (request: string, socket: net.Socket) => void) {
    this.server = net.createServer((socket) => {
      const index = this.received.push("") - 1;
      let pending = "";
      this.sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.sockets.delete(socket);
        this.closedAt.push(performance.now());
      });
      socket.on("data", (chunk) => {
        const text = chunk.toString("latin1");
        this.received[index] += text;
        pending += text;
        if (pending.startsWith("GET /healthz ")) {
          if (!pending.includes("\r\n\r\n")) return;
          this.received[index] = "";
          pending = "";
          socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
          return;
        }
        if (!pending.includes("\r\n\r\n")) return;
        const request = pending;
        pending = "";
        answer(request, socket);
      });
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as net.AddressInfo).port}`;
  }

  /** What came from clients, health checks left out. */
  get requests(): string[] {
    return this.received.filter((r) => r !== "");
  }
}

export const OK = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok";

/** Starts one that ends with the test. By default it answers 200 `ok` to everything. */
export async function byteServer(
  t: TestContext,
  answer: (request: string, socket: net.Socket) => void = (_request, socket) => socket.write(OK),
): Promise<ByteServer> {
  const bytes = new ByteServer(answer);
  bytes.server.listen(0, "127.0.0.1");
  await once(bytes.server, "listening");
  t.after(() => {
    for (const socket of bytes.sockets) socket.destroy();
    bytes.server.close();
  });
  return bytes;
}
