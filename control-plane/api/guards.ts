/** What unit guards follow: the placement, signed as gateways get it. A guard serves nobody, so no fence waits for one. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { GATEWAY_NAME } from "../auth/client-certificate.ts";
import { Refused } from "../refused.ts";
import type { Plane } from "./server.ts";

/** Guards at once: one for each process of each unit's apps. */
const MOST = 10_000;
/** How often (ms) it is looked whether a stream's token or certificate still holds. */
const STANDS_EVERY = 1_000;

export function registerGuards(api: FastifyInstance, { publisher }: Plane): void {
  let guards = 0;
  api.get<{ Params: { gateway: string }; Headers: { "x-tidegate-sections"?: string } }>(
    "/v1/guards/:gateway/stream",
    {
      // It would have no body, and no end.
      exposeHeadRoute: false,
      config: { role: "gateway" },
      schema: {
        summary: "Server-sent events: a `snapshot` with the placement alone, now and after every change",
        params: Type.Object({ gateway: Type.String({ pattern: GATEWAY_NAME }) }),
        headers: Type.Object({
          "x-tidegate-sections": Type.Optional(
            Type.String({ maxLength: 200, description: "digest of the placement that the guard has" }),
          ),
        }),
      },
    },
    async (request, reply) => {
      if (guards >= MOST) throw new Refused("too-many", `there are ${MOST} unit guards already`);
      const { raw } = reply;
      const has = (request.headers["x-tidegate-sections"] ?? "").split(",").filter((d) => d !== "");
      reply.hijack();
      guards++;
      raw.socket?.setNoDelay(true);
      raw.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      raw.write(": tidegate\n\n");
      const stop = publisher.listen(raw, has, "placement");
      const watch = setInterval(() => {
        if (!request.identity.stands()) raw.destroy();
      }, STANDS_EVERY);
      raw.on("error", () => {});
      raw.on("close", () => {
        guards--;
        clearInterval(watch);
        stop();
      });
    },
  );
}
