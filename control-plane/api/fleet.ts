/** The fleet as people look at it: what there is, one thing at a time, and how all of it stands right now. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { needed } from "../draft.ts";
import { FleetFeed } from "../fleet-feed.ts";
import { fleetViews } from "../fleet-views.ts";
import { Refused } from "../refused.ts";
import { Anything, responses } from "./schemas.ts";
import type { Plane } from "./server.ts";

/** Watchers at once. */
const MOST = 200;
/** A watcher with so many unread bytes is cut; it comes back and is told how things are then. */
const MOST_UNREAD = 8 * 1024 * 1024;
const Name = Type.String({ minLength: 1, maxLength: 200 });

export function registerFleet(api: FastifyInstance, plane: Plane): void {
  const { desk, gateways } = plane;
  const feed = new FleetFeed(plane);

  api.get(
    "/v1/fleet",
    {
      config: { role: "viewer" },
      schema: {
        summary: "What there is, by name: regions, units, routes, services, limits",
        response: responses(Anything),
      },
    },
    async () => {
      const { config, revision } = needed(desk.standing);
      return {
        revision: revision.number,
        regions: config.fleet.regions.map(({ name }) => name),
        units: config.fleet.units.map(({ name }) => name),
        services: config.fleet.services.map(({ name }) => name),
        limits: config.limits.map(({ name }) => name),
        routes: config.routes.map(({ name, match, service, scope, priority, degraded }) => ({
          ...{ name, service, scope, priority, path: match.path, host: match.host ?? null },
          methods: match.methods,
          degraded: degraded ?? false,
        })),
      };
    },
  );

  api.get<{ Params: { unit: string } }>(
    "/v1/fleet/units/:unit",
    {
      config: { role: "viewer" },
      schema: {
        summary:
          "One unit: its services' endpoints, and the breakers and pools that are not as they should be",
        params: Type.Object({ unit: Name }),
        response: responses(Anything),
      },
    },
    async ({ params }) => {
      const { config } = needed(desk.standing);
      const unit = config.fleet.units.find(({ name }) => name === params.unit);
      if (unit === undefined) throw new Refused("not-found", `there is no unit ${params.unit}`);
      const views = fleetViews(gateways.live().flatMap(({ report }) => report ?? []));
      return {
        unit,
        services: config.fleet.services.flatMap(({ name, pools, canary }) => {
          const pool = pools[unit.name];
          if (pool === undefined) return [];
          const share = canary.units === undefined ? canary.share : (canary.units[unit.name]?.share ?? 0);
          return [{ service: name, ...pool, canaryShare: share }];
        }),
        pools: views?.pools.filter((pool) => pool.unit === unit.name) ?? null,
        breakers: views?.breakers.filter((breaker) => breaker.unit === unit.name) ?? null,
      };
    },
  );

  api.get<{ Params: { route: string } }>(
    "/v1/fleet/routes/:route",
    {
      config: { role: "viewer" },
      schema: {
        summary: "One route as gateways serve it, and its limits",
        params: Type.Object({ route: Name }),
        response: responses(Anything),
      },
    },
    async ({ params }) => {
      const { config } = needed(desk.standing);
      const route = config.routes.find(({ name }) => name === params.route);
      if (route === undefined) throw new Refused("not-found", `there is no route ${params.route}`);
      // Whole pages, that nobody reads here.
      const { body: _, ...fallback } = route.fallback ?? { body: "" };
      return {
        route: { ...route, fallback: route.fallback === undefined ? null : fallback },
        limits: config.limits.filter(({ name }) => route.limits.includes(name)),
      };
    },
  );

  api.get(
    "/v1/fleet/watch",
    {
      // It would have no body, and no end.
      exposeHeadRoute: false,
      config: { role: "viewer" },
      schema: {
        summary:
          "Server-sent events `fleet`: how all units and gateways are, every second and at every change",
      },
    },
    (request, reply) => {
      if (feed.listeners >= MOST) throw new Refused("too-many", `there are ${MOST} watchers already`);
      reply.hijack();
      const { raw } = reply;
      raw.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      const stop = feed.listen((text) => {
        raw.write(`event: fleet\ndata: ${text}\n\n`);
        // Whoever lost the right to look loses the stream.
        if (raw.writableLength > MOST_UNREAD || !request.identity.stands()) raw.destroy();
      });
      raw.on("error", () => {});
      raw.on("close", stop);
    },
  );
}
