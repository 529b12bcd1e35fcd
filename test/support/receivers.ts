/** Who receives messages in tests: a real HTTP server that writes down what comes, and a real SMTP server. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import net, { type AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { until } from "./gateway.ts";

export interface ReceivedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look at whatever came.
  readonly json: any;
  /** performance.now */
  readonly at: number;
}

export class Receiver {
  readonly requests: ReceivedRequest[] = [];
  readonly server = createServer((request, response) => void this.#take(request, response));
  answer: (request: ReceivedRequest, response: ServerResponse) => void = (_request, response) =>
    response.end("{}");

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The first that fits, as soon as it is here. */
  async next(
    what: string,
    fits: (request: ReceivedRequest) => boolean,
    deadline = 15_000,
  ): Promise<ReceivedRequest> {
    const found = await until(what, () => this.requests.find(fits), Boolean, deadline);
    return found!;
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request as AsyncIterable<Buffer>) text += chunk.toString("utf8");
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      json = undefined;
    }
    const { method = "", url = "", headers } = request;
    const received = { method, url, headers, text, json, at: performance.now() };
    this.requests.push(received);
    this.answer(received, response);
  }
}

export async function receiver(t: TestContext): Promise<Receiver> {
  const made = new Receiver();
  made.server.listen(0, "127.0.0.1");
  await once(made.server, "listening");
  t.after(() => {
    made.server.closeAllConnections();
    made.server.close();
  });
  return made;
}

export interface ReceivedLetter {
  readonly from: string;
  readonly to: readonly string[];
  /** Headers and body, as they came. */
  readonly text: string;
  readonly at: number;
}

/** As much of RFC 5321 as a sender needs: EHLO, MAIL, RCPT, DATA, QUIT. */
export class MailSink {
  readonly letters: ReceivedLetter[] = [];
  readonly sockets = new Set<net.Socket>();
  readonly server = net.createServer((socket) => this.#serve(socket));
  /** What is answered to MAIL FROM. */
  reply = "250 ok";

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  #serve(socket: net.Socket): void {
    this.sockets.add(socket);
    socket.on("close", () => this.sockets.delete(socket));
    socket.on("error", () => {});
    socket.write("220 sink ESMTP\r\n");
    let [pending, isData, from, data] = ["", false, "", ""];
    let to: string[] = [];
    socket.on("data", (chunk) => {
      pending += chunk.toString("utf8");
      for (let end = pending.indexOf("\r\n"); end !== -1; end = pending.indexOf("\r\n")) {
        const line = pending.slice(0, end);
        pending = pending.slice(end + 2);
        if (isData) {
          if (line !== ".") {
            data += `${line.replace(/^\./, "")}\n`;
            continue;
          }
          isData = false;
          this.letters.push({ from, to, text: data, at: performance.now() });
          [data, to] = ["", []];
          socket.write("250 taken\r\n");
          continue;
        }
        const verb = line.slice(0, 4).toUpperCase();
        if (verb === "EHLO") socket.write("250-sink\r\n250 8BITMIME\r\n");
        else if (verb === "MAIL") {
          from = line;
          socket.write(`${this.reply}\r\n`);
        } else if (verb === "RCPT") {
          to.push(line.slice(8));
          socket.write("250 ok\r\n");
        } else if (verb === "DATA") {
          isData = true;
          socket.write("354 go on\r\n");
        } else if (verb === "QUIT") socket.end("221 bye\r\n");
        else socket.write("250 ok\r\n");
      }
    });
  }
}

export async function mailSink(t: TestContext): Promise<MailSink> {
  const sink = new MailSink();
  sink.server.listen(0, "127.0.0.1");
  await once(sink.server, "listening");
  t.after(() => {
    for (const socket of sink.sockets) socket.destroy();
    sink.server.close();
  });
  return sink;
}
