/** The demo's own buttons: a page beside the console, for this machine alone. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import Fastify, { type FastifyInstance } from "fastify";
import { ACTIONS, type Action } from "./flags.ts";
import type { DemoEvent } from "./view.ts";

export interface Buttons {
  readonly port: number;
  readonly controlPort: number;
  readonly units: () => readonly { readonly name: string; readonly condition: string }[];
  /** The newest last. */
  readonly events: () => readonly DemoEvent[];
  readonly act: (action: Action, target: string) => Promise<void>;
}

const SHOWN = 12;
const FILES = [
  ["/", "buttons.html", "text/html; charset=utf-8"],
  ["/buttons.js", "buttons.client.js", "text/javascript; charset=utf-8"],
  ["/buttons.css", "buttons.css", "text/css; charset=utf-8"],
] as const;

const ACT = {
  type: "object",
  required: ["action", "target"],
  additionalProperties: false,
  properties: { action: { enum: ACTIONS }, target: { type: "string", maxLength: 63 } },
};

/** Serves it on loopback. @throws Error when the port is taken */
export async function serveButtons(buttons: Buttons): Promise<FastifyInstance> {
  const server = Fastify({ bodyLimit: 1_024, forceCloseConnections: true });
  // A page of somebody else must not press them: neither from another origin, nor by a name that leads here.
  server.addHook("onRequest", async (request, reply) => {
    const { host = "", origin } = request.headers;
    const isOwn = /^(127\.0\.0\.1|localhost)(:\d+)?$/.test(host);
    if (!isOwn || (origin !== undefined && origin !== `http://${host}`)) return reply.code(403).send();
    reply.header(
      "content-security-policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'",
    );
    reply.header("cache-control", "no-store");
  });
  for (const [path, name, type] of FILES) {
    const text = readFileSync(join(import.meta.dirname, name), "utf8");
    server.get(path, (_request, reply) => reply.type(type).send(text));
  }
  server.get("/state", async () => ({
    console: `http://127.0.0.1:${buttons.controlPort}/`,
    units: buttons.units(),
    events: buttons.events().slice(-SHOWN),
  }));
  server.post<{ Body: { action: Action; target: string } }>(
    "/act",
    { schema: { body: ACT } },
    async ({ body }, reply) => {
      await buttons.act(body.action, body.target);
      return reply.code(204).send();
    },
  );
  await server.listen({ port: buttons.port, host: "127.0.0.1" });
  return server;
}
