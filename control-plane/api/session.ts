/** Sessions of people in browsers. The cookie is worth something only beside a field that our own page sets. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { Type } from "typebox";
import type { Authenticator } from "../auth/authenticator.ts";
import { CALLBACK } from "../auth/oidc-settings.ts";
import { CONSOLE_HEADER, MOST_TOKEN } from "../auth/session.ts";
import { Refused } from "../refused.ts";
import type { Plane } from "./server.ts";

/** The console. */
const PAGE = "/";

export function registerSession(api: FastifyInstance, plane: Plane, authenticator: Authenticator): void {
  const { sessions, signIn, tls, dev, version, desk } = plane;
  const shown = ({ name, role }: { readonly name: string; readonly role: string }): object => ({
    ...{ name, role, dev, version },
    fleet: desk.standing?.config.fleet.name ?? null,
  });

  api.get("/v1/session", { config: { role: "viewer" }, schema: { hide: true } }, (request, reply) => {
    reply.header("cache-control", "no-store");
    return shown(request.identity);
  });

  api.get("/v1/session/ways", { schema: { hide: true } }, (_request, reply) => {
    reply.header("cache-control", "no-store");
    return { provider: signIn?.host ?? null };
  });

  // Both are gone to by a browser, not asked for by the page: what goes wrong is told on the page, in words of its own.
  api.get("/v1/session/sign-in", { schema: { hide: true } }, async ({ headers }, reply) => {
    reply.header("cache-control", "no-store");
    if (signIn === undefined) return reply.redirect(`${PAGE}?sign-in=failed`);
    try {
      const own = `${tls === undefined ? "http" : "https"}://${headers.host}`;
      const { location, cookie } = await signIn.leave(own);
      return reply.header("set-cookie", cookie).redirect(location);
    } catch (error) {
      plane.onSignIn(error as Error);
      return reply.redirect(`${PAGE}?sign-in=away`);
    }
  });

  api.get(CALLBACK, { schema: { hide: true } }, async (request, reply) => {
    reply.header("cache-control", "no-store");
    if (signIn === undefined) return reply.redirect(`${PAGE}?sign-in=failed`);
    const [, query = ""] = /\?(.*)$/s.exec(request.url) ?? [];
    try {
      const token = await signIn.comeBack(query, request.headers.cookie);
      if (token.length > MOST_TOKEN) throw new Error(`the ID token has more than ${MOST_TOKEN} characters`);
      const { name } = await authenticator.prove(token, request.ip);
      plane.onSignIn(name);
      return reply.header("set-cookie", [signIn.forget(), sessions.begin(token).cookie]).redirect(PAGE);
    } catch (error) {
      plane.onSignIn(error as Error);
      const why = error instanceof Refused && error.kind === "forbidden" ? "no-role" : "failed";
      return reply.header("set-cookie", signIn.forget()).redirect(`${PAGE}?sign-in=${why}`);
    }
  });

  api.post<{ Body: { token: string } }>(
    "/v1/session",
    {
      schema: {
        hide: true,
        body: Type.Object(
          { token: Type.String({ minLength: 1, maxLength: MOST_TOKEN, pattern: "^\\S+$" }) },
          { additionalProperties: false },
        ),
      },
    },
    async (request, reply) => {
      checkPage(request);
      reply.header("cache-control", "no-store");
      if (dev) return shown({ name: "dev", role: "admin" });
      const { token } = request.body;
      const identity = await authenticator.prove(token, request.ip);
      if (identity.role === "gateway") {
        throw new Refused("forbidden", `${identity.name} is a gateway's token; the console is for people`);
      }
      reply.header("set-cookie", sessions.begin(token).cookie);
      return shown(identity);
    },
  );

  api.delete("/v1/session", { schema: { hide: true } }, (request, reply) => {
    checkPage(request);
    reply.header("set-cookie", sessions.end());
    return reply.code(204).send();
  });
}

/** Nobody is signed in, or out, by a page of somebody else. @throws Refused */
function checkPage({ headers }: FastifyRequest): void {
  if (headers[CONSOLE_HEADER] !== undefined) return;
  throw new Refused("forbidden", `sessions are the console's; expected the field ${CONSOLE_HEADER}`);
}
