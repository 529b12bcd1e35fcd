/** Three scripted units behind a gateway that knows one stress key, and marks signed with it. */
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import type http from "node:http";
import { connect } from "node:net";
import type { TestContext } from "node:test";
import { publicText, STRESS_HEADER, type StressMark, signMark } from "../../../model/stress-mark.ts";
import { fleetYaml, startGateway, type TestGateway } from "../../support/gateway.ts";
import { httpServer } from "../forwarding/support.ts";

export const UNITS = ["hz", "sh", "sz"] as const;
export type UnitName = (typeof UNITS)[number];

export const PAIR = generateKeyPairSync("ed25519");

export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
}

/** One unit: what reached it, and how it answers. */
export class ScriptedUnit {
  readonly seen: Seen[] = [];
  answer: http.RequestListener = (_request, response) => response.end("ok");
  url = "";
  server: http.Server | undefined;
  close: () => void = () => {};

  /** It takes WebSockets, and says nothing on them. */
  upgrades(): void {
    this.server!.on("upgrade", (_request, socket) => {
      socket.on("error", () => {});
      socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n");
    });
  }

  async listen(t: TestContext): Promise<this> {
    const { url, server } = await httpServer(t, (request, response) => {
      this.seen.push({ method: request.method!, url: request.url!, headers: request.headers });
      this.answer(request, response);
    });
    this.url = url;
    this.server = server;
    this.close = () => {
      server.close();
      server.closeAllConnections();
    };
    return this;
  }

  get stressed(): Seen[] {
    return this.seen.filter(({ headers }) => headers[STRESS_HEADER] !== undefined);
  }
}

export type Units = Record<UnitName, ScriptedUnit>;

export async function scriptedUnits(t: TestContext): Promise<Units> {
  const all = await Promise.all(
    UNITS.map(async (name) => [name, await new ScriptedUnit().listen(t)] as const),
  );
  return Object.fromEntries(all) as Units;
}

export interface Shape {
  /** Fields of every route, in YAML flow style. */
  readonly route?: string;
  /** Fields of `stress` beside its keys, in YAML flow style. */
  readonly stress?: string;
  /** Fields of every unit, in YAML flow style. */
  readonly unit?: string;
  /** Fields of the service, one line each. */
  readonly service?: string;
  readonly limits?: string;
  /** Every unit has a second endpoint, so that the first may be ejected. */
  readonly twins?: boolean;
}

export function filesOf(units: Units, shape: Shape = {}): Record<string, string> {
  const { route, stress, unit, service, limits } = shape;
  const origins = Object.fromEntries(
    UNITS.map((name) => {
      const { url } = units[name];
      return [name, shape.twins === true ? [url, url.replace("127.0.0.1", "localhost")] : [url]];
    }),
  );
  let fleet = fleetYaml(origins, "", `    slowStart: 0s\n${service ?? ""}`);
  if (unit !== undefined) fleet = fleet.replaceAll(/region: r-(\w+)/g, `region: r-$1, ${unit}`);
  const more = route === undefined ? "" : `, ${route}`;
  return {
    "fleet.yaml": fleet,
    "routes.yaml": `routes:
  - { name: hall, match: { path: /hall/* }, service: hall, scope: nearest, failover: all${more} }
  - { name: cart, match: { path: /cart/* }, service: hall, scope: sharded, failover: reads${more} }
  - { name: orders, match: { path: /orders/* }, service: hall, scope: center${more} }
${limits === undefined ? "" : `limits:\n${limits}\n`}`,
    "gateway.yaml": `stress: { keys: [ "${publicText(PAIR.publicKey)}" ]${stress === undefined ? "" : `, ${stress}`} }\n`,
  };
}

export function startStressed(
  t: TestContext,
  units: Units,
  shape: Shape = {},
  args: readonly string[] = [],
): Promise<TestGateway> {
  return startGateway(t, filesOf(units, shape), args);
}

/** A mark for unit sh, good for ten minutes. */
export function mark(changes: Partial<StressMark> = {}, key = PAIR.privateKey): string {
  return signMark(
    {
      fleet: "test",
      unit: "sh",
      run: "evening-1",
      expires: Date.now() + 600_000,
      rate: undefined,
      ...changes,
    },
    key,
  );
}

export interface Told {
  readonly status: number;
  /** Of a problem; empty otherwise. */
  readonly type: string;
  readonly text: string;
}

export async function tell(
  gateway: TestGateway,
  path: string,
  headers: Record<string, string> = {},
  method = "GET",
): Promise<Told> {
  const answer = await fetch(`${gateway.url}${path}`, {
    method,
    headers,
    signal: AbortSignal.timeout(10_000),
  });
  const text = await answer.text();
  const isProblem = answer.headers.get("content-type") === "application/problem+json";
  const type = isProblem
    ? (JSON.parse(text) as { type: string }).type.replace("urn:tidegate:problem:", "")
    : "";
  return { status: answer.status, type, text };
}

export function marked(
  gateway: TestGateway,
  path: string,
  text = mark(),
  headers: Record<string, string> = {},
  method = "GET",
): Promise<Told> {
  return tell(gateway, path, { ...headers, [STRESS_HEADER]: text }, method);
}

/** Statuses of many requests, some at a time. */
export async function statuses(n: number, one: (i: number) => Promise<Told>): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i < n; i += 20) {
    const some = Array.from({ length: Math.min(20, n - i) }, (_, j) => one(i + j));
    all.push(...(await Promise.all(some)).map(({ status }) => status));
  }
  return all;
}

/** How many of each. */
export function tally(all: readonly number[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const status of all) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** A WebSocket of stress traffic; `closed` once the gateway has ended it. */
export async function websocket(port: number, mark: string): Promise<{ closed: boolean }> {
  const socket = connect(port, "127.0.0.1");
  const made = { closed: false };
  socket.on("error", () => {});
  socket.on("close", () => {
    made.closed = true;
  });
  const key = "dGhlIHNhbXBsZSBub25jZQ==";
  socket.write(
    `GET /hall/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
      `Sec-WebSocket-Key: ${key}\r\n${STRESS_HEADER}: ${mark}\r\n\r\n`,
  );
  const [first] = (await once(socket, "data")) as [Buffer];
  if (!first.toString("latin1").startsWith("HTTP/1.1 101 ")) throw new Error(first.toString("latin1"));
  return made;
}
