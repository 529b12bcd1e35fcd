/** Stress traffic: marks are minted, one unit and one run each. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import {
  LONGEST_MARK,
  MOST_RATE,
  RUN_PATTERN,
  STRESS_HEADER,
  type StressMark,
} from "../../model/stress-mark.ts";
import { Refused } from "../refused.ts";
import { once } from "./once.ts";
import { CommandHeaders, Duration, durationFrom, Name, Reason, responses } from "./schemas.ts";
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

export function registerStress(api: FastifyInstance, { desk, commands, mint, now }: Plane): void {
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

/** Marks name whole seconds. */
function wholeSecond(milliseconds: number): number {
  return Math.floor(milliseconds / 1_000) * 1_000;
}
