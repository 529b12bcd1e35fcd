/** Plans run wholly in simulation, and what came of it. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import type { Config } from "../../model/config.ts";
import { checkPlan } from "../../model/plan-check.ts";
import type { CommandAnswer } from "../commands.ts";
import { needed } from "../draft.ts";
import { Refused } from "../refused.ts";
import { digestOfTouched, REHEARSAL, type Rehearsal } from "../rehearsals/rehearsal.ts";
import { simulate } from "../rehearsals/simulate.ts";
import { prepare } from "../runbook/preparation.ts";
import type { Store } from "../store/store.ts";
import { once } from "./once.ts";
import { PlanName, Values } from "./plan-shapes.ts";
import { Anything, CommandHeaders, Reason, responses } from "./schemas.ts";
import type { Plane } from "./server.ts";

interface Body {
  readonly values?: Readonly<Record<string, string>>;
  readonly scale?: number;
  readonly writes?: number;
  readonly reason: string;
}

const PAGE = 500;

export function registerRehearsals(api: FastifyInstance, plane: Plane): void {
  const { desk, store, commands, sight, hooks, gateways, epoch, now, monotonic } = plane;
  let isBusy = false;

  api.get<{ Params: { name: string } }>(
    "/v1/plans/:name/rehearsal",
    {
      config: { role: "viewer" },
      schema: {
        summary: "The last rehearsal of a plan",
        params: Type.Object({ name: PlanName }),
        response: responses(Anything),
      },
    },
    async ({ params }) => {
      const stored = await store.document(REHEARSAL, params.name);
      if (stored === undefined) {
        throw new Refused(
          "not-found",
          `plan ${params.name} was never rehearsed: tidegate plan rehearse ${params.name}`,
        );
      }
      return JSON.parse(stored.body) as Rehearsal;
    },
  );

  api.post<{ Params: { name: string }; Body: Body }>(
    "/v1/plans/:name/rehearse",
    {
      config: { role: "operator" },
      schema: {
        summary: "Runs a plan wholly in simulation, from how the fleet is now, and files what came of it",
        headers: CommandHeaders,
        params: Type.Object({ name: PlanName }),
        body: Type.Object(
          {
            values: Type.Optional(Values),
            scale: Type.Optional(Type.Number({ minimum: 0, maximum: 1000 })),
            writes: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
            reason: Reason,
          },
          { additionalProperties: false },
        ),
        response: responses(Anything),
      },
    },
    once<{ Params: { name: string }; Body: Body }>(commands, async ({ params, body, actor }, record) => {
      if (isBusy) throw new Refused("too-many", "another plan is being rehearsed; try again in some seconds");
      const standing = needed(desk.standing);
      const { config } = standing;
      const { values = {}, scale = 1, writes = 0.5, reason } = body;
      const request = { plan: params.name, values, reason, supersedes: undefined };
      const prepared = prepare(request, config, hooks);
      const load = new Map([...(sight.load() ?? [])].map(([route, rps]) => [route, rps * scale]));
      isBusy = true;
      try {
        const rehearsal = await simulate(prepared, request, standing, actor, {
          violations: plane.violations,
          load,
          unhealthy: sight.unhealthy(config),
          writes,
          gateways: gateways.live().map(({ name }) => name),
          now: now(),
          monotonic,
        });
        const answer: CommandAnswer = { status: 200, headers: {}, body: rehearsal };
        await file(rehearsal, [...record(answer)], actor.from);
        return answer;
      } finally {
        isBusy = false;
      }
    }),
  );

  /** @throws Refused */
  const file = (rehearsal: Rehearsal, also: Parameters<typeof desk.write>[0]["puts"], from: string) => {
    const { plan, by, at, reason, outcome, says } = rehearsal;
    const leads = epoch();
    if (leads === undefined)
      throw new Refused("not-leader", "this control plane does not lead now; ask the one that does");
    return desk.write({
      epoch: leads,
      puts: [{ kind: REHEARSAL, id: plan, body: JSON.stringify(rehearsal) }, ...(also ?? [])],
      events: [
        {
          at,
          type: "rehearsal",
          body: JSON.stringify({ plan, outcome, ...(says === undefined ? {} : { says }) }),
        },
      ],
      audit: [
        {
          at,
          actor: by,
          from,
          action: "plan.rehearse",
          target: plan,
          reason,
          before: "null",
          after: JSON.stringify({ outcome, manner: rehearsal.manner }),
        },
      ],
    });
  };
}

/** Plan → when it was rehearsed last, how it ended, and whether what it touches has changed since. */
export async function lastRehearsals(store: Store, config: Config): Promise<Map<string, object>> {
  const found = new Map<string, object>();
  let after: string | undefined;
  for (;;) {
    const page = await store.documents(REHEARSAL, after, PAGE);
    for (const { body } of page) {
      const {
        plan: name,
        at,
        outcome,
        reverted,
        manner,
        took,
        values,
        digest,
        says,
      } = JSON.parse(body) as Rehearsal;
      const plan = config.plans?.find((one) => one.name === name);
      if (plan === undefined) continue;
      const { steps } = checkPlan(plan, config, values);
      const changed = digestOfTouched(plan, steps, config) !== digest;
      found.set(name, {
        at,
        outcome,
        reverted,
        manner,
        took,
        changed,
        ...(says === undefined ? {} : { says }),
      });
    }
    if (page.length < PAGE) return found;
    after = page.at(-1)!.id;
  }
}
