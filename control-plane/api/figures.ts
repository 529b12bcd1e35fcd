/** What the fleet did of late. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import type { Version } from "../../model/fleet.ts";
import { OTHER } from "../../model/report.ts";
import { OUTCOMES } from "../../model/outcome.ts";
import { figureOf, totalOf } from "../figure.ts";
import { type FigureFilter, WINDOWS, type Window } from "../fleet-figures.ts";
import { Refused } from "../refused.ts";
import { responses } from "./schemas.ts";
import type { Plane } from "./server.ts";

/** Names of gateways that did not report, at most. */
const MOST_NAMES = 20;
const strict = { additionalProperties: false };
const Name = Type.String({ minLength: 1, maxLength: 200 });
const Share = Type.Union([Type.Number(), Type.Null()], { description: "null: no data" });
const VersionShape = Type.Union([Type.Literal("stable"), Type.Literal("canary")]);
const TrafficShape = Type.Union([Type.Literal("users"), Type.Literal("stress")], {
  description: "stress: what carries a stress mark, which users' figures do not hold",
});
const WindowShape = Type.Union(Object.keys(WINDOWS).map((name) => Type.Literal(name as Window)));

const figure = {
  requests: Type.Number(),
  rps: Type.Number({ description: "over the seconds that are known" }),
  outcomes: Type.Object(Object.fromEntries(OUTCOMES.map((outcome) => [outcome, Type.Number()])), strict),
  successShare: Share,
  errorShare: Share,
  p50: Share,
  p95: Share,
  p99: Share,
};

const FiguresShape = Type.Object(
  {
    window: WindowShape,
    traffic: TrafficShape,
    coverage: Type.Object(
      {
        live: Type.Integer({ description: "gateways that are connected" }),
        reported: Type.Integer({ description: "of them, those that reported in the window" }),
        silent: Type.Array(Type.String(), { description: "some of the others" }),
        share: Type.Union([Type.Number(), Type.Null()], {
          description: "of the live gateways' time in the window; null where none lives",
        }),
        seconds: Type.Number({ description: "that at least one gateway reported" }),
      },
      strict,
    ),
    total: Type.Union([Type.Object(figure, strict), Type.Null()], { description: "null: no data" }),
    series: Type.Array(
      Type.Object(
        { route: Type.String(), unit: Type.String(), version: VersionShape, ...figure },
        { ...strict, description: "milliseconds; the unit is empty where none was reached" },
      ),
    ),
    limits: Type.Array(Type.Object({ limit: Type.String(), limited: Type.Number() }, strict)),
    folded: Type.Integer({ description: `series that found no place and are counted as ${OTHER}` }),
  },
  strict,
);

type Traffic = "users" | "stress";
type Query = Omit<FigureFilter, "traffic"> & { readonly window?: Window; readonly traffic?: Traffic };

export function registerFigures(api: FastifyInstance, plane: Plane): void {
  api.get<{ Querystring: Query }>(
    "/v1/figures",
    {
      config: { role: "viewer" },
      schema: {
        summary: "What the gateways counted, by route, unit and version",
        querystring: Type.Object(
          {
            window: Type.Optional(WindowShape),
            route: Type.Optional(Name),
            unit: Type.Optional(Name),
            version: Type.Optional(VersionShape),
            traffic: Type.Optional(TrafficShape),
          },
          strict,
        ),
        response: responses(FiguresShape),
      },
    },
    async ({ query: { window = "1m", traffic = "users", ...filter } }) => {
      const asked = traffic === "stress" ? { ...filter, traffic } : filter;
      checkNames(plane, asked);
      return { traffic, ...figuresOf(plane, window, asked, Object.keys(filter).length === 0) };
    },
  );
}

/** What nobody has heard of is a mistake, and not without traffic. @throws Refused */
function checkNames({ desk, figures }: Plane, { route, unit, traffic }: FigureFilter): void {
  const of = traffic === undefined ? {} : { traffic };
  const config = desk.standing?.config;
  const isRoute =
    route === undefined || config?.routes.some((r) => r.name === route) || figures.knows({ route, ...of });
  if (!isRoute) throw new Refused("not-found", `there is no route ${route}`);
  const isUnit =
    unit === undefined || config?.fleet.units.some((u) => u.name === unit) || figures.knows({ unit, ...of });
  if (!isUnit) throw new Refused("not-found", `there is no unit ${unit}`);
}

/** @param isWhole all routes, units and versions were asked for */
function figuresOf(
  { figures, gateways }: Plane,
  window: Window,
  filter: FigureFilter,
  isWhole: boolean,
): object {
  const sum = figures.sum(window, filter);
  const { known, covered, series, limited, folded } = sum;
  const live = gateways.live().map((gateway) => gateway.name);
  const silent = live.filter((name) => !covered.has(name));
  const share = live.reduce((total, name) => total + (covered.get(name) ?? 0), 0);
  return {
    window,
    coverage: {
      live: live.length,
      reported: live.length - silent.length,
      silent: silent.slice(0, MOST_NAMES),
      share: live.length === 0 ? null : share / live.length,
      seconds: known / 1000,
    },
    total: totalOf(sum, isWhole),
    series: series
      .map(({ name: { traffic: _, ...name }, row }) => ({ ...name, ...figureOf(row, known) }))
      .sort((a, b) => order(a).localeCompare(order(b))),
    // Users' limits: stress traffic has its own.
    limits: [...(filter.traffic === undefined ? limited : [])]
      .map(([limit, n]) => ({ limit, limited: n }))
      .sort((a, b) => b.limited - a.limited),
    folded,
  };
}

function order({ route, unit, version }: { route: string; unit: string; version: Version }): string {
  return `${route}\n${unit}\n${version === "stable" ? 0 : 1}`;
}
