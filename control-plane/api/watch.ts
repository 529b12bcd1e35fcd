/** What happens, as it happens: server-sent events, that go on where a watcher left off. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { Refused } from "../refused.ts";
import type { Plane } from "./server.ts";

/** Watchers at once. */
const MOST = 200;
/** Events that one look reads. */
const PAGE = 500;
/** A watcher with so many unread bytes is cut; it goes on where it was. */
const MOST_UNREAD = 1024 * 1024;
const BEAT_EVERY = 5_000;

export function registerWatch(api: FastifyInstance, { store }: Plane): void {
  let watchers = 0;
  api.get<{ Headers: { "last-event-id"?: string }; Querystring: { after?: string } }>(
    "/v1/watch",
    {
      // It would have no body, and no end.
      exposeHeadRoute: false,
      config: { role: "viewer" },
      schema: {
        summary: "Server-sent events: what happens from now on, or from `after` (Last-Event-ID) on",
        querystring: Type.Object(
          { after: Type.Optional(Type.String({ pattern: "^[0-9]{1,15}$" })) },
          { additionalProperties: false },
        ),
        headers: Type.Object({ "last-event-id": Type.Optional(Type.String({ pattern: "^[0-9]{1,15}$" })) }),
      },
    },
    async (request, reply) => {
      if (watchers >= MOST) throw new Refused("too-many", `there are ${MOST} watchers already`);
      const given = request.headers["last-event-id"] ?? request.query.after;
      let after = given === undefined ? await store.newestEvent() : Number(given);
      reply.hijack();
      const { raw } = reply;
      watchers++;
      raw.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      raw.write(": tidegate\n\n");
      let reading = false;
      let again = false;
      const look = async (): Promise<void> => {
        if (reading) {
          again = true;
          return;
        }
        reading = true;
        do {
          again = false;
          const events = await store.events(after, PAGE).catch(() => []);
          for (const { number, at, type, body } of events) {
            raw.write(
              `id: ${number}\nevent: ${type}\ndata: ${JSON.stringify({ at, ...JSON.parse(body) })}\n\n`,
            );
            after = number;
          }
          again ||= events.length === PAGE;
          if (raw.writableLength > MOST_UNREAD) raw.destroy();
        } while (again && !raw.destroyed);
        reading = false;
      };
      const stop = store.onChange(() => void look());
      const beat = setInterval(() => {
        // Whoever lost the right to watch loses the stream.
        if (request.identity.stands()) raw.write(": beat\n\n");
        else raw.destroy();
      }, BEAT_EVERY);
      raw.on("error", () => {});
      raw.on("close", () => {
        watchers--;
        stop();
        clearInterval(beat);
      });
      await look();
    },
  );
}
