/** Who did what, when, from where and why; and the proof that nobody changed it since. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { ChainCheck } from "../store/audit-chain.ts";
import { Next } from "./pages.ts";
import { Anything, limitOf, Page, type PageQuery, responses } from "./schemas.ts";
import type { Plane } from "./server.ts";

export function registerAudit(api: FastifyInstance, { store }: Plane): void {
  api.get<{ Querystring: PageQuery }>(
    "/v1/audit",
    {
      config: { role: "viewer" },
      schema: {
        summary: "The audit log, oldest first",
        querystring: Page,
        response: responses(Type.Object({ entries: Type.Array(Anything), next: Next })),
      },
    },
    async ({ query }) => {
      const limit = limitOf(query);
      const entries = await store.audit(Number(query.after ?? 0), limit);
      return { entries, next: entries.length === limit ? `${entries.at(-1)!.number}` : null };
    },
  );

  api.get<{ Querystring: PageQuery }>(
    "/v1/events",
    {
      config: { role: "viewer" },
      schema: {
        summary: "What happened, oldest first",
        querystring: Page,
        response: responses(Type.Object({ events: Type.Array(Anything), next: Next })),
      },
    },
    async ({ query }) => {
      const limit = limitOf(query);
      const events = await store.events(Number(query.after ?? 0), limit);
      return { events, next: events.length === limit ? `${events.at(-1)!.number}` : null };
    },
  );

  api.get(
    "/v1/audit/verification",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Checks the whole chain",
        response: responses(
          Type.Object({
            whole: Type.Boolean(),
            entries: Type.Integer(),
            hash: Type.String(),
            broken: Type.Union([
              Type.Object({ number: Type.Integer(), because: Type.String() }),
              Type.Null(),
            ]),
          }),
        ),
      },
    },
    async () => {
      const check = new ChainCheck();
      for (;;) {
        const page = await store.audit(check.checked.entries, 500);
        for (const entry of page) {
          const broken = check.see(entry);
          if (broken !== undefined) return { whole: false, ...check.checked, broken };
        }
        if (page.length < 500) return { whole: true, ...check.checked, broken: null };
      }
    },
  );
}
