/** Who may do what: tokens are made, listed and revoked. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { GATEWAY_NAME } from "../auth/client-certificate.ts";
import { Refused } from "../refused.ts";
import { LONGEST_TOKEN, makeToken, ROLES, type Role, TOKEN, type Token } from "../tokens.ts";
import { once } from "./once.ts";
import { NamedPage, type NamedPageQuery, Next, pageOf } from "./pages.ts";
import { Anything, CommandHeaders, Duration, durationFrom, Reason, responses } from "./schemas.ts";
import type { Plane } from "./server.ts";

const RoleShape = Type.Union([...ROLES, "gateway"].map((role) => Type.Literal(role)));

interface MakeBody {
  readonly name: string;
  readonly role: Role;
  readonly gateway?: string;
  readonly expires: string;
  readonly reason: string;
}

export function registerTokens(api: FastifyInstance, { desk, commands, tokens, now, random }: Plane): void {
  api.get<{ Querystring: NamedPageQuery }>(
    "/v1/tokens",
    {
      config: { role: "admin" },
      schema: {
        summary: "Tokens, without their secrets, by id",
        querystring: NamedPage,
        response: responses(Type.Object({ tokens: Type.Array(Anything), next: Next })),
      },
    },
    async ({ query }) => {
      const { page, next } = pageOf(tokens.list(), ({ id }) => id, query);
      return { tokens: page.map(shown), next };
    },
  );

  api.post<{ Body: MakeBody }>(
    "/v1/tokens",
    {
      config: { role: "admin" },
      schema: {
        summary: "Makes a token; its text is in this answer and nowhere else",
        headers: CommandHeaders,
        body: Type.Object(
          {
            name: Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$" }),
            role: RoleShape,
            gateway: Type.Optional(
              Type.String({ pattern: GATEWAY_NAME, description: "the one gateway that it may speak for" }),
            ),
            expires: Duration,
            reason: Reason,
          },
          { additionalProperties: false },
        ),
        response: responses(Anything, 201),
      },
    },
    once<{ Body: MakeBody }>(commands, async ({ body, actor }, record) => {
      const { name, role, reason, gateway } = body;
      if (gateway !== undefined && role !== "gateway") {
        throw new Refused("bad-request", `the role ${role} is bound to no gateway; only the role gateway is`);
      }
      const expiresIn = durationFrom(body.expires);
      if (expiresIn === undefined || expiresIn < 1_000 || expiresIn > LONGEST_TOKEN) {
        throw new Refused("bad-request", `expires is ${body.expires}; expected a duration from 1s to 366d`);
      }
      const { token, text } = makeToken({ name, role, gateway, expiresIn }, now(), random);
      const at = now();
      await desk.write({
        puts: [
          { kind: TOKEN, id: token.id, body: JSON.stringify(token), expect: 0 },
          ...record({
            untold:
              `this command made the token ${token.id}, whose text was shown once and is kept nowhere; ` +
              "if it was lost on the way, revoke it and make another with a new idempotency-key",
          }),
        ],
        audit: [
          {
            at,
            actor: actor.name,
            from: actor.from,
            action: "token.create",
            target: token.id,
            reason,
            before: "null",
            after: JSON.stringify(shown(token)),
          },
        ],
      });
      await tokens.refresh();
      return { status: 201, headers: {}, body: { ...shown(token), token: text } };
    }),
  );

  api.delete<{ Params: { id: string }; Querystring: { reason: string } }>(
    "/v1/tokens/:id",
    {
      config: { role: "admin" },
      schema: {
        summary: "Revokes a token, at once",
        headers: CommandHeaders,
        params: Type.Object({ id: Type.String({ pattern: "^[0-9a-f]{12}$" }) }),
        querystring: Type.Object({ reason: Reason }, { additionalProperties: false }),
        response: responses(Anything),
      },
    },
    once<{ Params: { id: string }; Querystring: { reason: string } }>(commands, async (request, record) => {
      const { params, query, actor } = request;
      const answer = { status: 200, headers: {}, body: { revoked: params.id } };
      const token = tokens.get(params.id);
      if (token === undefined) throw new Refused("not-found", `there is no token ${params.id}`);
      await desk.write({
        puts: record(answer),
        deletes: [{ kind: TOKEN, id: token.id }],
        audit: [
          {
            at: now(),
            actor: actor.name,
            from: actor.from,
            action: "token.revoke",
            target: token.id,
            reason: query.reason,
            before: JSON.stringify(shown(token)),
            after: "null",
          },
        ],
      });
      await tokens.refresh();
      return answer;
    }),
  );
}

function shown({ hash: _, ...token }: Token): Omit<Token, "hash"> {
  return token;
}
