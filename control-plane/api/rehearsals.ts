/** Plans rehearsed, wholly in simulation or for real on few, and what came of it. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import type { Config } from "../../model/config.ts";
import { checkPlan } from "../../model/plan-check.ts";
import type { CommandAnswer } from "../commands.ts";
import { type Actor, needed } from "../draft.ts";
import { Refused } from "../refused.ts";
import { digestOfTouched, REHEARSAL, type Rehearsal } from "../rehearsals/rehearsal.ts";
import { simulate } from "../rehearsals/simulate.ts";
import type { Audience } from "../../model/overlay.ts";
import { asRehearsal, checkRehearsable } from "../rehearsals/on-traffic.ts";
import { checkRequired, executionOf, prepare } from "../runbook/preparation.ts";
import type { Store } from "../store/store.ts";
import { begun } from "./begun.ts";
import { once, type Record as Recorded } from "./once.ts";
import { PlanName, Values } from "./plan-shapes.ts";
import { Anything, CommandHeaders, Duration, durationFrom, Reason, responses } from "./schemas.ts";
import type { Plane } from "./server.ts";

interface Body {
  readonly values?: Readonly<Record<string, string>>;
  readonly scale?: number;
  readonly writes?: number;
  readonly reason: string;
  readonly on?: string;
  readonly for?: string;
}

/** Of a rehearsal on traffic: how long (ms) it holds when it went through. */
const HOLDS = "30s";
const LEAST_HOLD = 1_000;
const MOST_HOLD = 3_600_000;
/** Of the users: a rehearsal on more is none. */
const MOST_SHARE = 0.5;

const PAGE = 500;

export function registerRehearsals(api: FastifyInstance, plane: Plane): void {
  const { desk, store, commands, engine, sight, hooks, gateways, epoch, now, monotonic } = plane;
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
        summary:
          "Rehearses a plan: in simulation, answered with the report; or for real on few (`on`), answered with the execution",
        headers: CommandHeaders,
        params: Type.Object({ name: PlanName }),
        body: Type.Object(
          {
            values: Type.Optional(Values),
            scale: Type.Optional(Type.Number({ minimum: 0, maximum: 1000 })),
            writes: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
            on: Type.Optional(
              Type.String({
                pattern: "^([0-9.]{1,8} ?%|[a-z0-9][a-z0-9._-]{0,62})$",
                description:
                  "a share of the users, such as 1%; or the run of stress traffic that stands in for them",
              }),
            ),
            for: Type.Optional(Duration),
            reason: Reason,
          },
          { additionalProperties: false },
        ),
        response: { ...responses(Anything), 201: Anything },
      },
    },
    once<{ Params: { name: string }; Body: Body }>(commands, async ({ params, body, actor }, record) => {
      if (body.on !== undefined) return await onTraffic(params.name, body, body.on, actor, record);
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

  const onTraffic = async (
    name: string,
    { values = {}, reason, for: lasting = HOLDS }: Body,
    on: string,
    actor: Actor,
    record: Recorded,
  ): Promise<CommandAnswer> => {
    const { config } = needed(desk.standing);
    const lasts = durationFrom(lasting);
    if (lasts === undefined || lasts < LEAST_HOLD || lasts > MOST_HOLD) {
      throw new Refused("bad-request", `for is ${lasting}; expected a duration from 1s to 1h`);
    }
    const request = { plan: name, values, reason, supersedes: undefined };
    const prepared = prepare(request, config, hooks);
    checkRequired(prepared, config, sight);
    return begun(
      await engine.start(
        (id) => {
          const audience = audienceOf(on, id);
          checkRehearsable(audience, engine.all);
          const execution = executionOf(id, prepared, request, actor, now(), undefined);
          return asRehearsal(execution, audience, lasts);
        },
        (made) => record(begun(made)),
      ),
    );
  };

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

/** @throws Refused when it is no share that may be rehearsed on */
function audienceOf(on: string, id: string): Audience {
  if (!on.endsWith("%")) return { kind: "stress", run: on };
  const share = Number(on.slice(0, -1)) / 100;
  if (share > 0 && share <= MOST_SHARE) return { kind: "users", share, salt: `rehearsal ${id}` };
  throw new Refused("bad-request", `on is ${on}; expected a share of the users up to ${MOST_SHARE * 100}%`);
}
