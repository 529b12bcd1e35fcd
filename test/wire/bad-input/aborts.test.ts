/** Clients that leave: what they held is given back, however many they are. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import net from "node:net";
import test from "node:test";
import { ROUTES, until } from "../../support/gateway.ts";
import { check, get, HOST, site, unharmed } from "./support.ts";

const ROUNDS = 50;
/** Rounds until pools, code and heap have their usual size. */
const WARM_UP = 80;
const AT_ONCE = 200;

test("10,000 clients that leave before the unit has answered cost nothing", async (t) => {
  const s = await site(t, ROUTES);
  const pid = s.gateway.process.pid!;
  const descriptors = (): number => readdirSync(`/proc/${pid}/fd`).length;
  const memory = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;
  let waiting = 0;
  let asked = 0;
  let heard: () => void = () => {};
  s.upstream.onHead = (head, socket) => {
    if (!head.includes("/hall/leave")) return false;
    waiting++;
    asked++;
    socket.on("close", () => waiting--);
    heard();
    return true;
  };

  /** Half of them ask the unit, the others do not get so far. */
  const round = async (): Promise<void> => {
    const before = asked;
    const all = new Promise<void>((resolve) => {
      heard = () => {
        if (asked - before === AT_ONCE / 2) resolve();
      };
    });
    const sockets = Array.from({ length: AT_ONCE }, (_, i) => {
      const socket = net.connect(s.port, "127.0.0.1");
      socket.on("error", () => {});
      socket.write(
        i % 2 === 0
          ? i % 4 === 0
            ? get("/hall/leave")
            : `POST /hall/leave HTTP/1.1\r\n${HOST}Content-Length: 100\r\n\r\nhello`
          : `GET /hall/leave HTTP/1.1\r\n${HOST}X-A: `,
      );
      return socket;
    });
    await all;
    await Promise.all(
      sockets.map((socket, i) => {
        const closed = new Promise((resolve) => socket.on("close", resolve));
        if (i % 3 === 0) socket.resetAndDestroy();
        else socket.destroy();
        return closed;
      }),
    );
  };

  for (let i = 0; i < WARM_UP; i++) await round();
  await until(
    "the first units' connections end",
    () => waiting,
    (n) => n === 0,
  );
  const [memoryBefore, descriptorsBefore] = [memory(), descriptors()];
  for (let i = 0; i < ROUNDS; i++) await round();

  await check(t, "the units' connections end with them", () =>
    until(
      "no request waits at the unit",
      () => waiting,
      (n) => n === 0,
    ),
  );
  await check(t, "nothing is under way", () =>
    until(
      "in-flight is 0",
      () => s.gateway.metric("tidegate_upstream_inflight"),
      (n) => n === 0,
    ),
  );
  await check(t, "open sockets are as before", () =>
    until("descriptors", descriptors, (n) => n <= descriptorsBefore + 5),
  );
  await check(t, "memory is as before", () => {
    assert.ok(
      memory() < memoryBefore + 60,
      `${Math.round(memoryBefore)} MB before, ${Math.round(memory())} MB after`,
    );
  });
  await check(t, "no failure is counted against the unit", async () => {
    const { endpoints } = await s.gateway.status();
    assert.deepEqual(
      endpoints.map((e) => e.health),
      ["up"],
    );
  });
  s.upstream.onHead = undefined;
  await check(t, "the gateway is unharmed", () => unharmed(s));
});
