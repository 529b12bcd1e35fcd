/** What holds, and who serves it. */
import type { FastifyInstance } from "fastify";
import { describeOverlay } from "../../model/overlay.ts";
import { drainStandings, gatewayStandings } from "../fleet-gateways.ts";
import { unitStandings } from "../fleet-units.ts";
import { fleetViews } from "../fleet-views.ts";
import { NamedPage, type NamedPageQuery, pageOf } from "./pages.ts";
import { Anything, responses } from "./schemas.ts";
import type { Plane } from "./server.ts";

export function registerStatus(api: FastifyInstance, plane: Plane): void {
  api.get<{ Querystring: NamedPageQuery }>(
    "/v1/status",
    {
      config: { role: "viewer" },
      schema: {
        summary: "The fleet: revision, units, what lies over the base, and gateways, page by page",
        querystring: NamedPage,
        response: responses(Anything),
      },
    },
    async ({ query }) => statusOf(plane, query),
  );
}

/** Units and overlays are as many as a configuration may have; gateways are as many as come. */
function statusOf({ desk, gateways, epoch, store, now }: Plane, query: NamedPageQuery): object {
  const standing = desk.standing;
  const known = gateways.list();
  const revision = standing?.revision;
  const units = standing?.config.fleet.units ?? [];
  const silence = gateways.silence.bind(gateways);
  const { page, next } = pageOf(known, ({ name }) => name, query);
  return {
    fleet: standing?.config.fleet.name ?? null,
    revision: revision ?? null,
    leads: epoch() !== undefined,
    epoch: epoch() ?? null,
    store: store.where,
    now: now(),
    convergence: gateways.convergence(revision?.number ?? 0),
    units: unitStandings(units, known),
    drains: drainStandings(units, known, silence),
    views: fleetViews(gateways.live().flatMap(({ report }) => report ?? [])),
    overlays: (standing?.overlays ?? []).map((o) => ({ ...o, does: describeOverlay(o) })),
    gateways: gatewayStandings(page, revision?.number ?? 0, silence),
    next,
  };
}
