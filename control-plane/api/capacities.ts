/** What units were measured to bear. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import type { KeptMeasurement, Measurement } from "../../model/capacity/measurement.ts";
import type { CommandAnswer } from "../commands.ts";
import { needed } from "../draft.ts";
import { Refused } from "../refused.ts";
import { once } from "./once.ts";
import { Anything, CommandHeaders, Name, responses } from "./schemas.ts";
import type { Plane } from "./server.ts";

/** Document kind; its id is the unit. */
export const CAPACITY = "capacity";
/** Of one unit; the newest stay. */
const MOST = 20;
const PAGE = 200;
const strict = { additionalProperties: false };
const Rate = Type.Number({ exclusiveMinimum: 0, maximum: 1e9 });
const Share = Type.Number({ minimum: 0, maximum: 1 });
const Text = (most: number) =>
  Type.String({ maxLength: most, pattern: "^[^\\u0000-\\u001f\\u007f-\\u009f]*$" });

const MeasurementShape = Type.Object(
  {
    unit: Name,
    rps: Rate,
    error: Share,
    finds: Type.Array(Rate, { minItems: 1, maxItems: 20 }),
    probes: Type.Integer({ minimum: 1, maximum: 1_000 }),
    isAbove: Type.Boolean(),
    success: Share,
    p99: Type.Number({ exclusiveMinimum: 0, maximum: 3_600_000 }),
    mix: Text(2_000),
    build: Text(200),
    run: Type.String({ pattern: "^sr-[0-9]{1,9}$", description: "the run in which it was measured" }),
  },
  strict,
);

export function registerCapacities(api: FastifyInstance, plane: Plane): void {
  const { desk, store, commands, stress, epoch, now } = plane;
  const kept = async (unit: string): Promise<{ all: readonly KeptMeasurement[]; version: number }> => {
    const stored = await store.document(CAPACITY, unit);
    if (stored === undefined) return { all: [], version: 0 };
    return { all: (JSON.parse(stored.body) as { all: KeptMeasurement[] }).all, version: stored.version };
  };

  api.get(
    "/v1/capacities",
    {
      config: { role: "viewer" },
      schema: {
        summary: "What units were measured to bear, each unit's newest first, beside what fleet.yaml says",
        response: responses(Type.Object({ capacities: Type.Array(Anything) })),
      },
    },
    async () => {
      const said = new Map(desk.standing?.config.fleet.units.map(({ name, capacity }) => [name, capacity]));
      const capacities: object[] = [];
      let after: string | undefined;
      for (;;) {
        const page = await store.documents(CAPACITY, after, PAGE);
        for (const { id, body } of page) {
          const { all } = JSON.parse(body) as { all: KeptMeasurement[] };
          for (const one of all) capacities.push({ ...one, said: said.get(id) ?? null });
        }
        if (page.length < PAGE) return { capacities };
        after = page.at(-1)!.id;
      }
    },
  );

  api.post<{ Body: Measurement }>(
    "/v1/capacities",
    {
      config: { role: "operator" },
      schema: {
        summary:
          "Files what a unit was measured to bear in a run that measured it; it changes no configuration",
        headers: CommandHeaders,
        body: MeasurementShape,
        response: responses(Anything, 201),
      },
    },
    once<{ Body: Measurement }>(commands, async ({ body, actor }, record) => {
      const { unit, rps, error, run } = body;
      const leads = epoch();
      if (leads === undefined)
        throw new Refused("not-leader", "this control plane does not lead now; ask the one that does");
      const measured = await stress.find(run);
      if (measured.unit !== unit || !measured.measure) {
        throw new Refused(
          "conflict",
          `${run} did not measure unit ${unit}; tidegate capacity --unit ${unit} does`,
        );
      }
      const { all, version } = await kept(unit);
      const at = now();
      const { number: revision } = needed(desk.standing).revision;
      const made: KeptMeasurement = { ...body, at, by: actor.name, revision };
      const answer: CommandAnswer = { status: 201, headers: {}, body: made };
      await desk.write({
        epoch: leads,
        puts: [
          {
            ...{ kind: CAPACITY, id: unit, expect: version },
            body: JSON.stringify({ all: [made, ...all].slice(0, MOST) }),
          },
          ...record(answer),
        ],
        events: [{ at, type: "capacity", body: JSON.stringify({ unit, rps, error }) }],
        audit: [
          {
            ...{ at, actor: actor.name, from: actor.from, action: "capacity.measure", target: unit },
            reason: `measured in ${run}`,
            before: JSON.stringify(all[0]?.rps ?? null),
            after: JSON.stringify({ rps, error }),
          },
        ],
      });
      return answer;
    }),
  );
}
