/** Two gibibytes each way, behind a reader that starts late, leave the gateway's memory as it was. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { test } from "node:test";
import { fleetYaml, startGateway, until } from "../../support/gateway.ts";
import { byteServer } from "../../support/upstream.ts";
import { WHOLE } from "../../support/whole.ts";
import { oneRoute, pause } from "./support.ts";

/** Larger than any memory bound, and quick to send. */
const LARGE = WHOLE ? 2 ** 31 : 2 ** 29;
const MOST = 64 << 20;
const BLOCK = Buffer.alloc(1 << 20, 97);

function rss(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) * 1024;
}

/** Follows the largest value until it is stopped. */
function follow(pid: number): { before: number; stop(): number } {
  const before = rss(pid);
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, rss(pid));
  }, 20);
  return {
    before,
    stop() {
      clearInterval(timer);
      return most - before;
    },
  };
}

/** Writes as fast as it may; `sent` tells how far it is. */
function pour(socket: net.Socket, bytes: number): { sent: number } {
  const state = { sent: 0 };
  const more = (): void => {
    while (state.sent < bytes && !socket.destroyed) {
      const part = Math.min(BLOCK.length, bytes - state.sent);
      state.sent += part;
      if (!socket.write(part === BLOCK.length ? BLOCK : BLOCK.subarray(0, part))) return;
    }
    socket.off("drain", more);
  };
  socket.on("drain", more);
  more();
  return state;
}

/** The moment at which a sender has stopped because nobody reads. */
async function held(state: () => number): Promise<number> {
  let before = -1;
  return until("the sender to be held back", async () => {
    const seen = state();
    const still = seen > 0 && seen === before;
    before = seen;
    await pause(150);
    return still ? seen : 0;
  });
}

/** Reads without making a Buffer for each chunk. */
function reader(port: number, onBytes: (count: number, bytes: Buffer) => void): net.Socket {
  return net.connect({
    port,
    host: "127.0.0.1",
    onread: {
      buffer: Buffer.alloc(1 << 20),
      callback: (count, bytes) => {
        onBytes(count, bytes as Buffer);
        return true;
      },
    },
  });
}

test(`${LARGE / 2 ** 20} MiB down and up leave the gateway's memory within 64 MiB`, async (t) => {
  let down: { sent: number } | undefined;
  let up: { socket: net.Socket; received: number } | undefined;
  const upstream = await byteServer(t, (request, socket) => {
    if (request.startsWith("GET /warm ")) {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    } else if (request.startsWith("GET")) {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${LARGE}\r\n\r\n`);
      down = pour(socket, LARGE);
    } else {
      // The body is counted, not kept.
      socket.removeAllListeners("data");
      const state = { socket, received: request.length - request.indexOf("\r\n\r\n") - 4 };
      up = state;
      socket.pause();
      socket.on("data", (chunk) => {
        state.received += chunk.length;
        if (state.received === LARGE) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      });
      socket.pause();
    }
  });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [upstream.url] }),
    "routes.yaml": oneRoute("timeout: { headers: 60s }"),
  });
  for (let i = 0; i < 2_000; i += 50) {
    await Promise.all(Array.from({ length: 50 }, () => fetch(`${gateway.url}/warm`).then((r) => r.text())));
  }
  const { pid } = gateway.process;

  await t.test("download", async () => {
    const memory = follow(pid!);
    let received = 0;
    const socket = reader(gateway.port, (count) => {
      received += count;
    });
    await once(socket, "connect");
    socket.pause();
    socket.write("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    const stopped = await held(() => down?.sent ?? 0);
    assert.ok(stopped < 64 << 20, `the unit could send ${stopped} bytes to a client that did not read`);
    socket.resume();
    await once(socket, "close");
    const grown = memory.stop();
    assert.ok(received > LARGE && received < LARGE + 1_000, `${received} bytes`);
    t.diagnostic(`download: RSS grew by ${(grown / 2 ** 20).toFixed(1)} MiB from ${memory.before >> 20}`);
    assert.ok(grown < MOST, `RSS grew by ${grown >> 20} MiB`);
  });

  await t.test("upload", async () => {
    const memory = follow(pid!);
    let answer = "";
    const socket = reader(gateway.port, (count, bytes) => {
      answer += bytes.toString("latin1", 0, count);
    });
    await once(socket, "connect");
    socket.write(`POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: ${LARGE}\r\n\r\n`);
    const poured = pour(socket, LARGE);
    const stopped = await held(() => (up === undefined ? 0 : poured.sent));
    assert.ok(stopped < 64 << 20, `the client could send ${stopped} bytes to a unit that did not read`);
    up!.socket.resume();
    await once(socket, "close");
    const grown = memory.stop();
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
    assert.equal(up!.received, LARGE);
    t.diagnostic(`upload: RSS grew by ${(grown / 2 ** 20).toFixed(1)} MiB from ${memory.before >> 20}`);
    assert.ok(grown < MOST, `RSS grew by ${grown >> 20} MiB`);
  });
});
