/** Gray rollouts: what is written, and what runs of it. They are executions: pause, resume and the rest stand there. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import type { Rollout } from "../../model/rollout/rollout.ts";
import { checkRollout } from "../../model/rollout/check.ts";
import { needed } from "../draft.ts";
import { Refused } from "../refused.ts";
import { formatProblem } from "../../model/problem.ts";
import { encodeBase, MOST_BASE_BYTES } from "../base.ts";
import { checkNobodyRehearses } from "../rehearsals/on-traffic.ts";
import {
  checkAloneInUnits,
  outsideRefusals,
  prepareRollout,
  type ProposedBase,
  rolloutExecution,
} from "../rollouts/preparation.ts";
import { baseFrom, Files } from "./files.ts";
import { type ShownRollout, unitViews } from "../rollouts/view.ts";
import { EXECUTION, type Execution } from "../runbook/execution.ts";
import { begun } from "./begun.ts";
import { once } from "./once.ts";
import { NamedPage, type NamedPageQuery, Next, pageOf } from "./pages.ts";
import { Anything, CommandHeaders, Reason, responses } from "./schemas.ts";
import type { Plane } from "./server.ts";

const strict = { additionalProperties: false };
const Named = Type.Object({ name: Type.String({ pattern: "^[a-z0-9][a-z0-9._-]{0,62}$" }) });
interface StartBody {
  readonly reason: string;
  /** Of the base, where it brings routes. */
  readonly files?: Readonly<Record<string, string>>;
}

/** Executions that are looked through for the newest of a rollout. */
const PAGE = 200;

export function registerRollouts(api: FastifyInstance, plane: Plane): void {
  const { desk, reader, store, commands, engine, sight, hooks, epoch, now } = plane;

  const refusals = (rollout: Rollout): string[] => outsideRefusals(rollout, hooks, sight.evidence.metrics);

  /** @throws Refused when they are not valid */
  const read = async (files: NonNullable<StartBody["files"]>): Promise<ProposedBase> => {
    const base = baseFrom(files);
    const { config, problems } = await reader.read(base, "change");
    if (config !== undefined) return { base, config };
    throw new Refused("invalid-configuration", "the configuration is invalid; nothing was begun", {
      problems: problems.map((p) => ({ ...p, text: formatProblem(p) })),
    });
  };

  api.get<{ Querystring: NamedPageQuery }>(
    "/v1/rollouts",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Rollouts, and whether each fits the fleet as it is now",
        querystring: NamedPage,
        response: responses(Type.Object({ rollouts: Type.Array(Anything), next: Next })),
      },
    },
    async ({ query }) => {
      const { config } = needed(desk.standing);
      const { page, next } = pageOf(config.rollouts ?? [], ({ name }) => name, query);
      const rollouts = page.map((rollout): ShownRollout => {
        const problems = [
          ...checkRollout(rollout, config).map(({ message }) => message),
          ...refusals(rollout),
        ];
        return { ...rollout, fits: problems.length === 0, problems };
      });
      return { rollouts, next };
    },
  );

  const newest = async (name: string): Promise<Execution | undefined> => {
    let [found, after]: [Execution | undefined, string | undefined] = [undefined, undefined];
    for (;;) {
      const page = await store.documents(EXECUTION, after, PAGE);
      for (const { body } of page) {
        const one = JSON.parse(body) as Execution;
        if (one.rollout?.written.name === name && (found === undefined || one.at >= found.at)) found = one;
      }
      if (page.length < PAGE) return found;
      after = page.at(-1)!.id;
    }
  };

  api.get<{ Params: { name: string } }>(
    "/v1/rollouts/:name",
    {
      config: { role: "viewer" },
      schema: {
        summary: "The newest execution of a rollout, unit by unit, with what was seen in each",
        params: Named,
        response: responses(Anything),
      },
    },
    async ({ params }) => {
      const execution = await newest(params.name);
      if (execution === undefined) {
        throw new Refused(
          "not-found",
          `rollout ${params.name} never ran; tidegate rollout list lists what is written`,
        );
      }
      return { now: now(), execution, units: unitViews(execution) };
    },
  );

  api.post<{ Params: { name: string }; Body: StartBody }>(
    "/v1/rollouts/:name/start",
    {
      config: { role: "operator" },
      schema: {
        summary: "Begins a rollout",
        headers: CommandHeaders,
        params: Named,
        body: Type.Object({ reason: Reason, files: Type.Optional(Files) }, strict),
        response: responses(Anything, 201),
      },
      bodyLimit: MOST_BASE_BYTES * 2,
    },
    once<{ Params: { name: string }; Body: StartBody }>(commands, async (request, record) => {
      const { params, body, actor } = request;
      const proposed = body.files === undefined ? undefined : await read(body.files);
      const standing = needed(desk.standing);
      const { config, revision } = standing;
      const prepared = prepareRollout(
        params.name,
        config,
        sight.unitLoad(config),
        refusals,
        standing,
        proposed,
      );
      const leads = epoch();
      if (proposed !== undefined && leads !== undefined) {
        // What a step names has to be there before it.
        const blobs = new Map([[prepared.proposal!.base, encodeBase(proposed.base)]]);
        await desk.write({ epoch: leads, blobs });
      }
      return begun(
        await engine.start(
          (id, live) => {
            checkAloneInUnits(prepared, live);
            checkNobodyRehearses(engine.all);
            return rolloutExecution(id, prepared, revision.base, body.reason, actor, now());
          },
          (made) => record(begun(made)),
        ),
      );
    }),
  );
}
