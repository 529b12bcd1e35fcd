/** The control plane's HTTP API: who asks, may they, and what a refusal looks like. Each resource has a file beside this. */
import swagger from "@fastify/swagger";
import Fastify, { type FastifyError, type FastifyInstance, type FastifyRequest } from "fastify";
import { Authenticator } from "../auth/authenticator.ts";
import type { Identity } from "../auth/identity.ts";
import type { ListenerTls } from "../auth/listener-tls.ts";
import type { Oidc } from "../auth/oidc.ts";
import type { Sessions } from "../auth/session.ts";
import type { SignIn } from "../auth/sign-in.ts";
import type { BaseReader } from "../base-reader.ts";
import type { Commands } from "../commands.ts";
import type { Desk } from "../desk.ts";
import type { Violation } from "../../model/safety-check.ts";
import type { StressMark } from "../../model/stress-mark.ts";
import type { Actor, Draft } from "../draft.ts";
import type { FleetFigures } from "../fleet-figures.ts";
import type { Intake } from "../intake.ts";
import type { FigureRelay } from "../publish/figure-relay.ts";
import type { Gateways } from "../publish/gateways.ts";
import type { Publisher } from "../publish/publisher.ts";
import type { Roster } from "../publish/roster.ts";
import { Refused } from "../refused.ts";
import type { Engine } from "../runbook/engine.ts";
import type { Hooks } from "../runbook/hooks.ts";
import type { Sight } from "../runbook/sight.ts";
import type { Deed } from "../safety-gate.ts";
import type { Store } from "../store/store.ts";
import type { StressRuns } from "../stress/runs.ts";
import type { Role, Tokens } from "../tokens.ts";
import type { Alerting } from "../alerts/alerting.ts";
import { registerAcknowledgement } from "./acknowledgement.ts";
import { registerAlerts } from "./alerts.ts";
import { registerAudit } from "./audit.ts";
import { takeJson } from "./body.ts";
import { registerCapacities } from "./capacities.ts";
import { registerConfiguration } from "./configuration.ts";
import { type ConsoleFiles, registerConsole } from "./console.ts";
import { registerErrors } from "./errors.ts";
import { registerFigures } from "./figures.ts";
import { registerFleet } from "./fleet.ts";
import { registerGateways } from "./gateways.ts";
import { registerGuards } from "./guards.ts";
import { registerOverlays } from "./overlays.ts";
import { registerOverrides } from "./overrides.ts";
import { lazySchemas } from "./lazy-schemas.ts";
import { Methods, refuse, refuseConnection } from "./problems.ts";
import { registerPlans } from "./plans.ts";
import { registerRollouts } from "./rollouts.ts";
import { registerRehearsals } from "./rehearsals.ts";
import { registerRevisions } from "./revisions.ts";
import { REFUSALS } from "./schemas.ts";
import { registerSession } from "./session.ts";
import { registerSilences } from "./silences.ts";
import { registerStatus } from "./status.ts";
import { registerStress } from "./stress.ts";
import { registerTokens } from "./tokens.ts";
import { registerWatch } from "./watch.ts";

export interface Plane {
  readonly desk: Desk;
  readonly reader: BaseReader;
  readonly store: Store;
  readonly commands: Commands;
  readonly tokens: Tokens;
  readonly publisher: Publisher;
  readonly gateways: Gateways;
  readonly roster: Roster;
  readonly engine: Engine;
  readonly sight: Sight;
  readonly hooks: Hooks;
  readonly alerting: Alerting;
  /** The safety rules that a change would break. */
  readonly violations: (draft: Draft, deed: Deed) => readonly Violation[];
  readonly figures: FleetFigures;
  readonly intake: Intake;
  /** Undefined: no other control plane has this store. */
  readonly relay: FigureRelay | undefined;
  readonly stress: StressRuns;
  /** Signs a stress mark that gateways take. */
  readonly mint: (mark: StressMark) => string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Milliseconds of a clock that nobody sets. */
  readonly monotonic: () => number;
  /** So many random bytes. */
  readonly random: (bytes: number) => Buffer;
  /** Leadership that this control plane holds. */
  readonly epoch: () => number | undefined;
  /** Loopback only: whoever comes is an admin. */
  readonly dev: boolean;
  /** Undefined: only tokens of our own. */
  readonly oidc: Oidc | undefined;
  /** Undefined: plain HTTP. */
  readonly tls: ListenerTls | undefined;
  readonly sessions: Sessions;
  /** Undefined: nobody signs in at an identity provider. */
  readonly signIn: SignIn | undefined;
  /** Undefined: nobody has built it. */
  readonly console: ConsoleFiles | undefined;
  readonly version: string;
  /** Who signed in at the identity provider, or why somebody did not. */
  readonly onSignIn: (who: string | Error) => void;
  /** A defect: what no answer should say. */
  readonly onError: (error: Error) => void;
}

declare module "fastify" {
  interface FastifyRequest {
    actor: Actor;
    role: Role;
    identity: Identity;
  }
  interface FastifyContextConfig {
    /** Whom the route is for; undefined: everybody. */
    role?: Role;
  }
}

/** Requests other than configurations are small. */
const MOST_BODY = 256 * 1024;
const LOOPBACK = new Set(["127.0.0.1", "localhost", "[::1]"]);

export async function buildApi(plane: Plane): Promise<FastifyInstance> {
  const api = Fastify({
    logger: false,
    https: plane.tls?.options ?? null,
    bodyLimit: MOST_BODY,
    requestTimeout: 60_000,
    connectionTimeout: 0,
    // Streams never end by themselves.
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 300 },
    clientErrorHandler: refuseConnection,
    schemaController: lazySchemas as never,
    frameworkErrors: (error, _request, reply) => refuse(error, reply, plane.onError),
    ajv: {
      customOptions: { coerceTypes: false, removeAdditional: false, allErrors: false, useDefaults: true },
    },
  });
  takeJson(api);
  api.decorateRequest("actor");
  api.decorateRequest("role");
  api.decorateRequest("identity");
  const authenticator = new Authenticator(plane);
  const methods = new Methods();
  api.addHook("onRequest", async (request, reply) => {
    checkOrigin(request, plane.dev);
    if (request.is404) return methods.refuse(request, reply);
    return await authenticate(request, authenticator);
  });
  api.setErrorHandler((error: FastifyError, _request, reply) => refuse(error, reply, plane.onError));
  api.setNotFoundHandler((request, reply) => methods.refuse(request, reply));
  api.addHook("onRoute", (route) => {
    methods.add(route.url, route.method);
    const role = route.config?.role;
    if (role === undefined) return;
    route.schema = {
      ...route.schema,
      description: `For the role ${role}${role === "gateway" ? "" : " and those above it"}.`,
      response: { ...REFUSALS, ...(route.schema?.response as object | undefined) },
    };
  });
  await api.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Tidegate control plane",
        version: plane.version,
        description: "One place to change the fleet safely. Refusals are application/problem+json.",
      },
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
      // With --dev nobody needs one.
      security: plane.dev ? [] : [{ token: [] }],
    },
  });
  await api.register(async (routes) => {
    registerStatus(routes, plane);
    registerConfiguration(routes, plane);
    registerRevisions(routes, plane);
    registerOverlays(routes, plane);
    registerGateways(routes, plane);
    registerGuards(routes, plane);
    registerFigures(routes, plane);
    registerErrors(routes, plane);
    registerFleet(routes, plane);
    registerSession(routes, plane, authenticator);
    registerConsole(routes, plane.console);
    registerStress(routes, plane);
    registerCapacities(routes, plane);
    registerTokens(routes, plane);
    registerAudit(routes, plane);
    registerWatch(routes, plane);
    registerOverrides(routes, plane);
    registerPlans(routes, plane);
    registerRollouts(routes, plane);
    registerRehearsals(routes, plane);
    registerAlerts(routes, plane);
    registerSilences(routes, plane);
    registerAcknowledgement(routes, plane);
    routes.get("/openapi.json", { schema: { hide: true } }, () => api.swagger());
    routes.get("/healthz", { schema: { hide: true } }, (_request, reply) => {
      reply.type("text/plain").send("ok\n");
    });
  });
  await api.ready();
  return api;
}

/** A page in a browser must not be able to act with what this machine may, nor a name that leads here. */
function checkOrigin(request: FastifyRequest, dev: boolean): void {
  const { host = "", origin } = request.headers;
  const name = host.replace(/:\d+$/, "");
  if (dev && !LOOPBACK.has(name)) {
    throw new Refused("forbidden", `with --dev the Host must be 127.0.0.1, localhost or [::1]`);
  }
  if (origin !== undefined && URL.parse(origin)?.host !== host) {
    throw new Refused("forbidden", "requests from pages of other origins are not taken");
  }
}

async function authenticate(request: FastifyRequest, authenticator: Authenticator): Promise<void> {
  const identity = await authenticator.authenticate(request);
  if (identity === undefined) return;
  request.identity = identity;
  request.actor = { name: identity.name, from: request.ip, overrides: overridesOf(request) };
  request.role = identity.role;
}

/** `Tidegate-Override: or-…, or-…`: safety rules that somebody else has agreed to break with this command. */
function overridesOf({ headers }: FastifyRequest): string[] {
  const given = headers["tidegate-override"];
  return typeof given === "string" ? (given.match(/or-[0-9a-f]{12}/g) ?? []).slice(0, 10) : [];
}
