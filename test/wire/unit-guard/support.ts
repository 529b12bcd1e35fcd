/** Units of Fastify behind their guards, which write down what they take, and the system that asks them to catch up. */
import { createServer } from "node:http";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";
import fastify, { type FastifyInstance } from "fastify";
import { unitGuard, type UnitGuardOptions } from "../../../gateway/unit-guard.ts";
import type { TestControlPlane } from "../../support/control-plane.ts";

export const SECRET = "nobody knows";
export const CATCH_UP = "/tidegate/catch-up";

/** A write that a handler was given. */
export interface Write {
  readonly unit: string;
  readonly slot: number;
  readonly epoch: number;
  readonly key: string;
  readonly body: string;
  /** Milliseconds of one clock. */
  readonly began: number;
  ended: number;
}

export interface GuardedUnit {
  readonly app: FastifyInstance;
  readonly url: string;
}

/** @param writes where it writes down what it takes */
export async function guardedUnit(
  t: TestContext,
  options: UnitGuardOptions,
  writes: Write[],
): Promise<GuardedUnit> {
  const app = fastify({ keepAliveTimeout: 60_000, forceCloseConnections: true });
  await app.register(unitGuard, options);
  app.get("/healthz", async () => "ok");
  app.get("/*", async () => options.unit);
  app.post<{ Querystring: { takes?: string } }>("/*", async (request) => {
    const { slot = -1, epoch = -1 } = request.tidegate ?? {};
    const write: Write = {
      ...{ unit: options.unit, slot, epoch, key: String(request.headers["x-user-id"]) },
      ...{ body: String(request.body), began: performance.now(), ended: Number.NaN },
    };
    writes.push(write);
    const takes = Number(request.query.takes ?? 0);
    if (takes > 0) await new Promise((resolve) => setTimeout(resolve, takes));
    write.ended = performance.now();
    return options.unit;
  });
  await app.listen({ port: 0, host: "127.0.0.1" });
  t.after(() => app.close());
  return { app, url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}` };
}

/** How a guard follows a control plane of a test. */
export function following(plane: TestControlPlane, unit: string): UnitGuardOptions {
  return {
    unit,
    state: join(plane.dir, `guard-${unit}`),
    controlPlane: {
      urls: [plane.url],
      name: `guard-${unit}`,
      snapshotKey: readFileSync(join(plane.data, "snapshot-key.pem"), "utf8"),
    },
    catchUp: { path: CATCH_UP, secret: SECRET },
  };
}

/** Passes a catch-up on to every unit's guard: the data is there when all of them say so. @returns its host */
export async function dataSystem(
  t: TestContext,
  units: () => readonly GuardedUnit[],
): Promise<{ host: string; answers: number[] }> {
  const answers: number[] = [];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk) => {
      text += chunk;
    });
    request.on("end", async () => {
      const headers = {
        "content-type": "application/json",
        "tidegate-signature": String(request.headers["tidegate-signature"]),
      };
      const all = await Promise.all(
        units().map(async ({ url }) => {
          const answer = await fetch(`${url}${CATCH_UP}`, { method: "POST", headers, body: text });
          await answer.text();
          return answer.status;
        }),
      );
      answers.push(...all);
      response.writeHead(all.every((status) => status === 200) ? 200 : 502).end();
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, answers };
}
