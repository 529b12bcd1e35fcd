/** Contingency plans, and what runs of them. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import type { Config } from "../../model/config.ts";
import { describeEvaluation } from "../../model/figure-expression.ts";
import { sectionsOf } from "../../model/snapshot.ts";
import type { CommandAnswer } from "../commands.ts";
import { needed } from "../draft.ts";
import { Refused } from "../refused.ts";
import * as command from "../runbook/commands.ts";
import { dryRun } from "../runbook/dry-run.ts";
import { EXECUTION, type Execution, isLive } from "../runbook/execution.ts";
import { problemsOf } from "../runbook/plan-watch.ts";
import { markdownOf } from "../runbook/post-mortem.ts";
import { checkAlone, checkRequired, executionOf, prepare } from "../runbook/preparation.ts";
import type { StoredDocument } from "../store/store.ts";
import { FreshHeaders, freshResponses, isSeen } from "./fresh.ts";
import { begun } from "./begun.ts";
import { once } from "./once.ts";
import { NamedPage, type NamedPageQuery, Next, pageOf } from "./pages.ts";
import { PlanName, Values } from "./plan-shapes.ts";
import { lastRehearsals } from "./rehearsals.ts";
import { Anything, CommandHeaders, Reason, responses } from "./schemas.ts";
import type { Plane } from "./server.ts";

const strict = { additionalProperties: false };
const Id = Type.Object({ id: Type.String({ pattern: "^ex-[0-9]{1,9}$" }) });
const GatewayNames = Type.Array(Type.String({ minLength: 1, maxLength: 100 }), { maxItems: 100 });

interface ExecutionsQuery {
  readonly limit?: string;
  readonly after?: string;
  readonly plan?: string;
  readonly live?: string;
}

/** Of one page. */
const EXECUTIONS = 100;
const MOST_EXECUTIONS = 500;
const ExecutionsQueryShape = Type.Object(
  {
    limit: Type.Optional(
      Type.String({
        ...{ pattern: "^[0-9]{1,4}$" },
        description: `looked at for one page: ${EXECUTIONS}, at most ${MOST_EXECUTIONS}`,
      }),
    ),
    after: Type.Optional(Type.String({ maxLength: 20 })),
    plan: Type.Optional(PlanName),
    live: Type.Optional(Type.Literal("true", { description: "only those that are not over" })),
  },
  strict,
);

function lineOf(execution: Execution) {
  const { id, plan, values, reason, owner, at, endedAt, state, says } = execution;
  return { id, plan: plan.name, values, reason, owner, at, endedAt, state, says };
}

interface StartBody {
  readonly plan: string;
  readonly values?: Readonly<Record<string, string>>;
  readonly reason: string;
  readonly supersedes?: string;
}

interface DryBody {
  readonly values?: Readonly<Record<string, string>>;
  /** The load is so many times what it is. */
  readonly scale?: number;
  readonly writes?: number;
  /** Route → requests per second, in place of what is measured. */
  readonly load?: Readonly<Record<string, number>>;
  /** Answers with what decides where requests go, before and after: for whoever replays a log. */
  readonly routing?: boolean;
}

interface CommandBody {
  readonly reason: string;
  readonly without?: readonly string[];
  readonly step?: string;
  readonly digest?: string;
}

/** As gateways get them: of what would hold, the sections that are different. */
function routingOf(before: Config, after: Config, unhealthy: readonly string[]): object {
  const was = sectionsOf(before);
  const is = [...sectionsOf(after)].filter(([name, text]) => was.get(name) !== text);
  return { before: Object.fromEntries(was), after: Object.fromEntries(is), unhealthy };
}

/** Commands on an execution, by the end of their path. */
const COMMANDS = {
  pause: "No new step begins; what is under way goes on",
  resume: "Goes on; what failed is tried again. `without`: gateways that nobody waits for any more",
  skip: "Leaves a step out: the one that failed, or `step`",
  abort: "Stops; what it laid stays",
  revert: "Takes back what it laid, and proves it",
  approve: "Agrees to what somebody else runs; `digest` is that of what was looked at",
} as const;

export function registerPlans(api: FastifyInstance, plane: Plane): void {
  const { desk, store, commands, engine, sight, hooks, now } = plane;

  api.get<{ Querystring: NamedPageQuery }>(
    "/v1/plans",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Plans, and whether each fits the fleet as it is now",
        querystring: NamedPage,
        response: responses(Type.Object({ plans: Type.Array(Anything), next: Next })),
      },
    },
    async ({ query }) => {
      const { config } = needed(desk.standing);
      const rehearsals = await lastRehearsals(store, config);
      const { page, next } = pageOf(config.plans ?? [], ({ name }) => name, query);
      const plans = page.map((plan) => {
        const problems = problemsOf(plan, config, hooks);
        return {
          ...plan,
          fits: problems.length === 0,
          problems,
          rehearsed: rehearsals.get(plan.name) ?? null,
        };
      });
      return { plans, next };
    },
  );

  api.get<{ Querystring: ExecutionsQuery }>(
    "/v1/executions",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Executions, as they were written last; a page may be empty and have a next one",
        querystring: ExecutionsQueryShape,
        response: responses(Anything),
      },
    },
    async ({ query }) => {
      const most = Math.max(1, Math.min(MOST_EXECUTIONS, Number(query.limit ?? EXECUTIONS)));
      const page = await store.documents(EXECUTION, query.after, most);
      const executions = page
        .map(({ body }) => lineOf(JSON.parse(body) as Execution))
        .filter((one) => query.plan === undefined || one.plan === query.plan)
        .filter((one) => query.live === undefined || isLive(one));
      return { executions, ...(page.length === most ? { next: page.at(-1)!.id } : {}) };
    },
  );

  api.post<{ Params: { name: string }; Body: DryBody }>(
    "/v1/plans/:name/dry-run",
    {
      config: { role: "viewer" },
      schema: {
        summary: "What a plan would do, step by step, from how the fleet is now; nothing is done",
        params: Type.Object({ name: PlanName }),
        body: Type.Object(
          {
            values: Type.Optional(Values),
            scale: Type.Optional(Type.Number({ minimum: 0, maximum: 1000 })),
            writes: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
            load: Type.Optional(
              Type.Record(Type.String({ maxLength: 63 }), Type.Number({ minimum: 0, maximum: 1e9 }), strict),
            ),
            routing: Type.Optional(Type.Boolean()),
          },
          strict,
        ),
        response: responses(Anything),
      },
    },
    async ({ params, body, actor }) => {
      const standing = needed(desk.standing);
      const { config } = standing;
      const { values = {}, scale = 1, writes = 0.5 } = body;
      const request = { plan: params.name, values, reason: "dry run", supersedes: undefined };
      const prepared = prepare(request, config, hooks);
      const known = body.load === undefined ? sight.load() : new Map(Object.entries(body.load));
      const load = new Map([...(known ?? [])].map(([route, rps]) => [route, rps * scale]));
      const execution = executionOf("ex-0", prepared, request, actor, now(), undefined);
      const { violations } = plane;
      const unhealthy = sight.unhealthy(config);
      const options = { violations, load, unhealthy, writes, now: now() };
      const required = prepared.checked.require.map((one) => {
        const seen = sight.evaluate(one, "10s", 0, config, undefined);
        return { holds: seen.holds ?? null, says: describeEvaluation(seen) };
      });
      const loadKnown = known !== undefined;
      const { config: after, ...run } = dryRun(execution, standing, actor, options);
      const routing = body.routing === true ? { routing: routingOf(config, after, [...unhealthy]) } : {};
      return { plan: params.name, loadKnown, scale, required, ...run, ...routing };
    },
  );

  const stored = async (id: string): Promise<StoredDocument> => {
    const found = await store.document(EXECUTION, id);
    if (found !== undefined) return found;
    throw new Refused("not-found", `there is no execution ${id}; tidegate plan status lists them`);
  };
  const read = async (id: string): Promise<Execution> => JSON.parse((await stored(id)).body) as Execution;

  api.get<{ Params: { id: string } }>(
    "/v1/executions/:id",
    {
      config: { role: "viewer" },
      schema: {
        summary: "One execution: its steps and its timeline",
        params: Id,
        headers: FreshHeaders,
        response: freshResponses(Anything),
      },
    },
    async (request, reply) => {
      const { version, body } = await stored(request.params.id);
      return isSeen(request, reply, version) ? reply : (JSON.parse(body) as Execution);
    },
  );

  api.get<{ Params: { id: string } }>(
    "/v1/executions/:id/post-mortem",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Its record as the draft of a post-mortem, in Markdown",
        params: Id,
        response: responses(Anything),
      },
    },
    async ({ params }) => ({ markdown: markdownOf(await read(params.id)) }),
  );

  api.post<{ Body: StartBody }>(
    "/v1/executions",
    {
      config: { role: "operator" },
      schema: {
        summary: "Runs a plan",
        headers: CommandHeaders,
        body: Type.Object(
          {
            plan: PlanName,
            values: Type.Optional(Values),
            reason: Reason,
            supersedes: Type.Optional(Id.properties.id),
          },
          strict,
        ),
        response: responses(Anything, 201),
      },
    },
    once<{ Body: StartBody }>(commands, async ({ body, actor }, record) => {
      const { config } = needed(desk.standing);
      const { supersedes } = body;
      const request = { plan: body.plan, values: body.values ?? {}, reason: body.reason, supersedes };
      const practice = { provenAt: await engine.provenAt(body.plan), now: now() };
      const prepared = prepare(request, config, hooks, practice);
      checkRequired(prepared, config, sight);
      const supersede = (one: Execution): Execution => command.supersede(one, now());
      return begun(
        await engine.start(
          (id, live, superseded) => {
            checkAlone(prepared, config, live, supersedes);
            return executionOf(id, prepared, request, actor, now(), superseded);
          },
          (made) => record(begun(made)),
          supersedes === undefined ? undefined : { id: supersedes, change: supersede },
        ),
      );
    }),
  );

  for (const [name, summary] of Object.entries(COMMANDS)) {
    const action = name as keyof typeof COMMANDS;
    const more = {
      ...(action === "resume" ? { without: Type.Optional(GatewayNames) } : {}),
      ...(action === "skip" ? { step: Type.Optional(Type.String({ maxLength: 40 })) } : {}),
      ...(action === "approve" ? { digest: Type.String({ pattern: "^[0-9a-f]{64}$" }) } : {}),
    };
    api.post<{ Params: { id: string }; Body: CommandBody }>(
      `/v1/executions/:id/${action}`,
      {
        config: { role: "operator" },
        schema: {
          summary,
          headers: CommandHeaders,
          params: Id,
          body: Type.Object({ reason: Reason, ...more }, strict),
          response: responses(Anything),
        },
      },
      once<{ Params: { id: string }; Body: CommandBody }>(commands, async (request, record) => {
        const { params, body, actor, role } = request;
        const { reason, without = [], step, digest = "" } = body;
        const change = (one: Execution): Execution => {
          switch (action) {
            case "pause":
              return command.pause(one);
            case "resume":
              return command.resume(one, without);
            case "skip":
              return command.skip(one, step, reason, now());
            case "abort":
              return command.abort(one, now());
            case "revert":
              return command.revert(one, actor.name);
            case "approve":
              return command.approve(one, { name: actor.name, role }, digest, reason, now());
          }
        };
        const told = (made: Execution): CommandAnswer => ({ status: 200, headers: {}, body: made });
        return told(
          await engine.command(params.id, change, actor, action, reason, (made) => record(told(made))),
        );
      }),
    );
  }
}
