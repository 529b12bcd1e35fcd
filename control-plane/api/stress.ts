/** Stress traffic: marks are minted, one unit and one run each, and runs are registered, watched and stopped. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import {
  LONGEST_MARK,
  MOST_RATE,
  RUN_PATTERN,
  STRESS_HEADER,
  type StressMark,
} from "../../model/stress-mark.ts";
import type { CommandAnswer } from "../commands.ts";
import { Refused } from "../refused.ts";
import type { StressRun } from "../stress/run.ts";
import { endMarks } from "../stress/marks.ts";
import { once } from "./once.ts";
import { NamedPage, type NamedPageQuery, Next, pageOf } from "./pages.ts";
import { Anything, CommandHeaders, Duration, durationFrom, Name, Reason, responses } from "./schemas.ts";
import type { Plane } from "./server.ts";

interface MintBody {
  readonly unit: string;
  readonly run: string;
  readonly ttl: string;
  readonly rate?: number;
  readonly reason: string;
}

const strict = { additionalProperties: false };
const Run = Type.String({
  pattern: RUN_PATTERN,
  description: "what the run is called, in records and in baggage",
});
const Rate = Type.Integer({
  minimum: 1,
  maximum: MOST_RATE,
  description:
    "requests per second that each gateway takes of the run; missing: as many as the unit may have",
});

const MarkShape = Type.Object(
  {
    header: Type.String(),
    mark: Type.String({
      description: "the header's value: whoever has it may stress the unit until it expires",
    }),
    unit: Type.String(),
    run: Type.String(),
    rate: Type.Union([Type.Number(), Type.Null()]),
    expiresAt: Type.Number({ description: "milliseconds since 1970" }),
  },
  strict,
);

interface RunBody {
  readonly unit: string;
  readonly scenario: string;
  readonly mix: string;
  readonly rate: number;
  readonly for: string;
  readonly abortOn?: string;
  readonly measure?: boolean;
  readonly reason: string;
}

interface EndBody {
  readonly outcome: "passed" | "failed";
  readonly says: string;
  readonly result?: unknown;
}

/** A run takes so long at most (ms): its mark lasts a little longer. */
const LONGEST_RUN = LONGEST_MARK - 60_000;
/** No generator is a metronome: of what it is meant to ask a gateway takes this much at a time. */
const METRONOME = 1.25;
/** Characters of what a runner tells. */
const MOST_RESULT = 64 * 1024;
/** Names that runs are given. */
const OWN_RUN = /^sr-\d+$/;
const RunId = Type.Object({ id: Type.String({ pattern: "^sr-[0-9]{1,9}$" }) });
const Line = (most: number, description: string) =>
  Type.String({ maxLength: most, pattern: "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", description });

export function registerStress(api: FastifyInstance, plane: Plane): void {
  registerMarks(api, plane);
  registerMarkedRuns(api, plane);
  registerRuns(api, plane);
}

function registerRuns(api: FastifyInstance, { desk, commands, mint, stress }: Plane): void {
  api.get<{ Querystring: NamedPageQuery }>(
    "/v1/stress-runs",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Runs of stress traffic, by name, without their samples and results",
        querystring: NamedPage,
        response: responses(Type.Object({ runs: Type.Array(Anything), next: Next })),
      },
    },
    async ({ query }) => {
      const { page, next } = pageOf(await stress.list(), ({ id }) => id, query);
      return { runs: page.map(({ samples: _samples, result: _result, ...run }) => run), next };
    },
  );

  api.get<{ Params: { id: string } }>(
    "/v1/stress-runs/:id",
    {
      config: { role: "viewer" },
      schema: {
        summary: "One run: what its unit and the users beside it were answered, and how it ended",
        params: RunId,
        response: responses(Anything),
      },
    },
    async ({ params }) => await stress.find(params.id),
  );

  api.post<{ Body: RunBody }>(
    "/v1/stress-runs",
    {
      config: { role: "operator" },
      schema: {
        summary:
          "Registers a run and mints its mark; from now on the guardrail watches what it does to users",
        headers: CommandHeaders,
        body: Type.Object(
          {
            unit: Name,
            scenario: Type.String({ pattern: "^[a-z][a-z-]{0,40}$" }),
            mix: Line(2_000, "what is asked, for people"),
            rate: Rate,
            for: Duration,
            abortOn: Type.Optional(Line(300, "such as success<99.5% or p99>300ms")),
            measure: Type.Optional(
              Type.Boolean({
                description: "the unit's capacity is measured, and does not hold the run back",
              }),
            ),
            reason: Reason,
          },
          strict,
        ),
        response: responses(Type.Object({ run: Anything, header: Type.String(), mark: Type.String() }), 201),
      },
    },
    once<{ Body: RunBody }>(commands, async ({ body, actor }, record) => {
      const { for: lasting, abortOn = "", measure = false, ...rest } = body;
      const lasts = durationFrom(lasting);
      if (lasts === undefined || lasts < 1_000 || lasts > LONGEST_RUN) {
        throw new Refused("bad-request", `for is ${lasting}; expected a duration from 1s to 59m`);
      }
      const untold =
        "this command registered a run, whose mark was shown once; if it was lost on the way, stop the run and register another";
      const run = await stress.register({ ...rest, lasts, abortOn, measure }, actor, () =>
        record({ untold }),
      );
      const { id, unit, rate, until } = run;
      const fleet = desk.standing!.config.fleet.name;
      const mark: StressMark = { fleet, unit, run: id, expires: until, rate: Math.ceil(rate * METRONOME) };
      const text = mint(measure ? { ...mark, measure: true } : mark);
      return { status: 201, headers: {}, body: { run, header: STRESS_HEADER, mark: text } };
    }),
  );

  api.post<{ Params: { id: string } }>(
    "/v1/stress-runs/:id/beat",
    {
      config: { role: "operator" },
      schema: {
        summary:
          "Its runner lives, and hears whether it may go on; without one for ten seconds the run is ended",
        params: RunId,
        response: responses(Anything),
      },
    },
    async ({ params }) => {
      const { samples, result: _, ...run } = await stress.beat(params.id);
      return { ...run, sample: samples.at(-1) ?? null };
    },
  );

  const told = ({ samples: _samples, result: _result, ...run }: StressRun): CommandAnswer => ({
    status: 200,
    headers: {},
    body: run,
  });
  api.post<{ Params: { id: string }; Body: { reason: string } }>(
    "/v1/stress-runs/:id/stop",
    {
      config: { role: "operator" },
      schema: {
        summary: "Stops a run: gateways refuse its mark from now on, whatever its runner does",
        headers: CommandHeaders,
        params: RunId,
        body: Type.Object({ reason: Reason }, strict),
        response: responses(Anything),
      },
    },
    once<{ Params: { id: string }; Body: { reason: string } }>(
      commands,
      async ({ params, body, actor }, record) =>
        told(await stress.end(params.id, "stopped", body.reason, actor, (made) => record(told(made)))),
    ),
  );
  api.post<{ Params: { id: string }; Body: EndBody }>(
    "/v1/stress-runs/:id/end",
    {
      config: { role: "operator" },
      schema: {
        summary: "Its runner is done: how it went, and what it counted",
        headers: CommandHeaders,
        params: RunId,
        body: Type.Object(
          {
            outcome: Type.Union([Type.Literal("passed"), Type.Literal("failed")]),
            says: Line(500, "in one sentence"),
            result: Type.Optional(Anything),
          },
          strict,
        ),
        response: responses(Anything),
      },
    },
    once<{ Params: { id: string }; Body: EndBody }>(commands, async ({ params, body, actor }, record) => {
      const { outcome, says, result } = body;
      if (result !== undefined && JSON.stringify(result).length > MOST_RESULT) {
        throw new Refused(
          "bad-request",
          `the result has more than ${MOST_RESULT} characters; send less of it`,
        );
      }
      const also = (made: StressRun) => record(told(made));
      return told(await stress.end(params.id, outcome, says, actor, also, result));
    }),
  );
}

function registerMarks(api: FastifyInstance, { desk, commands, mint, now }: Plane): void {
  api.post<{ Body: MintBody }>(
    "/v1/stress-marks",
    {
      config: { role: "operator" },
      schema: {
        summary: "Mints a mark for stress traffic to one unit; its text is in this answer and nowhere else",
        headers: CommandHeaders,
        body: Type.Object(
          { unit: Name, run: Run, ttl: Duration, rate: Type.Optional(Rate), reason: Reason },
          strict,
        ),
        response: responses(MarkShape, 201),
      },
    },
    once<{ Body: MintBody }>(commands, async ({ body, actor }, record) => {
      const { unit, run, rate, reason } = body;
      const fleet = desk.standing?.config.fleet;
      if (fleet === undefined) throw new Refused("conflict", "there is no configuration yet");
      if (!fleet.units.some(({ name }) => name === unit)) {
        throw new Refused("not-found", `there is no unit ${unit}`);
      }
      if (OWN_RUN.test(run)) {
        throw new Refused(
          "bad-request",
          `run is ${run}, as those are called that are registered; take another name`,
        );
      }
      const ttl = durationFrom(body.ttl);
      if (ttl === undefined || ttl < 1_000 || ttl > LONGEST_MARK) {
        throw new Refused("bad-request", `ttl is ${body.ttl}; expected a duration from 1s to 1h`);
      }
      const at = now();
      const mark: StressMark = { fleet: fleet.name, unit, run, expires: wholeSecond(at + ttl), rate };
      const shown = { unit, run, rate: rate ?? null, expiresAt: mark.expires };
      const untold =
        "this command minted a mark, whose text was shown once and is kept nowhere; " +
        "if it was lost on the way, mint another with a new idempotency-key";
      await desk.write({
        puts: record({ untold }),
        audit: [
          {
            at,
            actor: actor.name,
            from: actor.from,
            action: "stress.mark",
            target: unit,
            reason,
            before: "null",
            after: JSON.stringify(shown),
          },
        ],
      });
      return { status: 201, headers: {}, body: { header: STRESS_HEADER, mark: mint(mark), ...shown } };
    }),
  );
}

/** A run that is none of the control plane's own: nobody watches it, and it ends where its marks are read. */
function registerMarkedRuns(api: FastifyInstance, { desk, commands, epoch }: Plane): void {
  api.post<{ Params: { run: string }; Body: { reason: string } }>(
    "/v1/stress-marks/:run/stop",
    {
      config: { role: "operator" },
      schema: {
        summary: "Stops a run that was not registered: gateways refuse every mark of this name, for an hour",
        headers: CommandHeaders,
        params: Type.Object({ run: Run }),
        body: Type.Object({ reason: Reason }, strict),
        response: responses(Anything),
      },
    },
    once<{ Params: { run: string }; Body: { reason: string } }>(
      commands,
      async ({ params: { run }, body: { reason }, actor }, record) => {
        if (OWN_RUN.test(run)) {
          throw new Refused("bad-request", `${run} is a registered run: POST /v1/stress-runs/${run}/stop`);
        }
        const answer: CommandAnswer = { status: 200, headers: {}, body: { run, stopped: true } };
        const owner = `stress run ${run}`;
        const puts = record(answer);
        await endMarks(
          desk,
          { run, owner, reason, left: undefined, puts, epoch: async () => epoch() },
          actor,
        );
        return answer;
      },
    ),
  );
}

/** Marks name whole seconds. */
function wholeSecond(milliseconds: number): number {
  return Math.floor(milliseconds / 1_000) * 1_000;
}
