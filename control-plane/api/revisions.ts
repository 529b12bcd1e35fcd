/** What held when, and the way back. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { differences } from "../difference.ts";
import type { CommandAnswer } from "../commands.ts";
import { draftRollback, needed, type Standing } from "../draft.ts";
import { Refused } from "../refused.ts";
import { FreshHeaders, freshResponses, isSeen } from "./fresh.ts";
import { once } from "./once.ts";
import { Next } from "./pages.ts";
import { previewOf, previewResponses } from "./previews.ts";
import {
  Anything,
  Expect,
  limitOf,
  Page,
  type PageQuery,
  Reason,
  responses,
  RevisionHeaders,
  RevisionShape,
} from "./schemas.ts";
import { seen } from "./seen.ts";
import type { Plane } from "./server.ts";

const Number9 = Type.String({ pattern: "^[0-9]{1,9}$" });

interface RollbackBody {
  readonly to: number;
  readonly reason: string;
  readonly expect?: number;
}

/** Milliseconds. */
const LONGEST_WAIT = 10_000;

export function registerRevisions(api: FastifyInstance, plane: Plane): void {
  const { desk, store, commands, gateways, now } = plane;
  api.get<{ Querystring: PageQuery }>(
    "/v1/revisions",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Revisions, newest first",
        querystring: Page,
        response: responses(
          Type.Object({
            revisions: Type.Array(RevisionShape),
            next: Next,
          }),
        ),
      },
    },
    async ({ query }) => {
      const limit = limitOf(query);
      const revisions = await store.revisions(
        query.after === undefined ? undefined : Number(query.after),
        limit,
      );
      const more = revisions.length === limit && revisions.at(-1)!.number > 1;
      return { revisions, next: more ? `${revisions.at(-1)!.number}` : null };
    },
  );

  const standingAt = async (text: string) => {
    const standing = await desk.at(Number(text), "look");
    if (standing === undefined) throw new Refused("not-found", `there is no revision ${text}`);
    return standing;
  };

  api.get<{ Params: { number: string } }>(
    "/v1/revisions/:number",
    {
      config: { role: "viewer" },
      schema: {
        summary: "One revision: its files, overlays and what gateways served",
        params: Type.Object({ number: Number9 }),
        headers: FreshHeaders,
        response: freshResponses(Anything),
      },
    },
    async (request, reply) => {
      const number = Number(request.params.number);
      // It never becomes another.
      const isThere = number >= 1 && number <= (desk.standing?.revision.number ?? 0);
      if (isThere && isSeen(request, reply, number)) return reply;
      const { revision, base, overlays, config } = await standingAt(request.params.number);
      return { revision, files: Object.fromEntries(base), overlays, effective: config };
    },
  );

  api.get<{ Params: { number: string }; Querystring: { wait?: string } }>(
    "/v1/revisions/:number/convergence",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Who serves a revision, or a newer one; `wait` (ms) for the rest of them",
        params: Type.Object({ number: Number9 }),
        querystring: Type.Object(
          { wait: Type.Optional(Type.String({ pattern: "^[0-9]{1,5}$" })) },
          { additionalProperties: false },
        ),
        response: responses(
          Type.Object({
            live: Type.Integer(),
            behind: Type.Array(Type.String()),
            refused: Type.Array(Type.String()),
          }),
        ),
      },
    },
    async ({ params, query }) => {
      const until = now() + Math.min(LONGEST_WAIT, Number(query.wait ?? 0));
      for (;;) {
        const found = gateways.convergence(Number(params.number));
        const left = until - now();
        if (found.behind.length === 0 || left <= 0) return found;
        await gateways.news(Math.min(left, 250));
      }
    },
  );

  api.get<{ Querystring: { from: string; to: string } }>(
    "/v1/diff",
    {
      config: { role: "viewer" },
      schema: {
        summary: "What differs between what two revisions made gateways serve",
        querystring: Type.Object({ from: Number9, to: Number9 }, { additionalProperties: false }),
        response: responses(Anything),
      },
    },
    async ({ query }) => {
      const [from, to] = await Promise.all([standingAt(query.from), standingAt(query.to)]);
      return {
        from: from.revision.number,
        to: to.revision.number,
        differences: differences(from.config, to.config),
      };
    },
  );

  api.post<{ Body: RollbackBody }>(
    "/v1/rollback",
    {
      config: { role: "operator" },
      schema: {
        summary: "The base of an older revision again, as a new revision; overlays stay",
        headers: RevisionHeaders,
        body: Type.Object(
          { to: Type.Integer({ minimum: 1, maximum: 2 ** 31 }), reason: Reason, expect: Expect },
          { additionalProperties: false },
        ),
        response: responses(Type.Object({ revision: RevisionShape })),
      },
    },
    once<{ Body: RollbackBody }>(commands, async ({ body, headers, actor }, record) => {
      const { to, reason } = body;
      const told = ({ revision }: Standing): CommandAnswer => ({
        status: 200,
        headers: {},
        body: { revision },
      });
      const expect = seen(headers, body.expect);
      return told(await desk.rollback(to, expect, reason, actor, (s) => record(told(s))));
    }),
  );

  api.get<{ Params: { number: string } }>(
    "/v1/revisions/:number/rollback",
    {
      config: { role: "viewer" },
      schema: {
        summary:
          "What going back to a revision's base would change, and the safety rules that would refuse it",
        params: Type.Object({ number: Number9 }),
        response: previewResponses,
      },
    },
    async ({ params, actor }) => {
      const to = Number(params.number);
      const draft = draftRollback(needed(desk.standing), await desk.at(to, "look"), to);
      return previewOf(plane, draft, { actions: ["rollback"], target: `revision ${to}`, actor });
    },
  );
}
