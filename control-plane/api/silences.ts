/** Silences and maintenance windows: times in which nobody is told of some alerts. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { allLabels } from "../../model/alerts/alert.ts";
import { matches, type Silence } from "../../model/alerts/matching.ts";
import type { Changes } from "../alerts/book.ts";
import type { CommandAnswer } from "../commands.ts";
import type { Actor } from "../draft.ts";
import { Refused } from "../refused.ts";
import { audit } from "./alerts.ts";
import { once } from "./once.ts";
import { Anything, CommandHeaders, Duration, durationFrom, Reason, responses } from "./schemas.ts";
import type { Plane } from "./server.ts";

const strict = { additionalProperties: false };
const SilenceId = Type.Object({ id: Type.String({ pattern: "^si-[0-9a-f]{12}$" }) });
const Label = Type.String({ minLength: 1, maxLength: 200 });
/** Nobody remembers what was silenced for longer (ms). */
const LONGEST_SILENCE = 31 * 24 * 3_600_000;
const MOST_SILENCES = 500;

interface SilenceBody {
  readonly match: Readonly<Record<string, string | readonly string[]>>;
  readonly duration: string;
  /** Milliseconds since 1970; missing: now. */
  readonly from?: number;
  readonly reason: string;
}

export function registerSilences(api: FastifyInstance, { alerting, commands, random }: Plane): void {
  const { book } = alerting;

  api.get(
    "/v1/silences",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Silences and maintenance windows that are not over",
        response: responses(Anything),
      },
    },
    async () => {
      const now = alerting.now();
      const known = await alerting.list("silence");
      const silences = known.filter(({ until }) => until > now).sort((a, b) => a.from - b.from);
      return { now, silences };
    },
  );

  api.post<{ Body: SilenceBody }>(
    "/v1/silences",
    {
      config: { role: "operator" },
      schema: {
        summary:
          "Nobody is told of the alerts that match, for a while; `from` in the future is a maintenance window",
        headers: CommandHeaders,
        body: Type.Object(
          {
            match: Type.Record(
              Type.String({ minLength: 1, maxLength: 63 }),
              Type.Union([Label, Type.Array(Label, { minItems: 1, maxItems: 100 })]),
              { minProperties: 1, maxProperties: 20 },
            ),
            duration: Duration,
            from: Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 45 })),
            reason: Reason,
          },
          strict,
        ),
        response: responses(Anything, 201),
      },
    },
    once<{ Body: SilenceBody }>(commands, async ({ body, actor }, record) => {
      const lasts = durationFrom(body.duration) ?? 0;
      if (lasts < 1_000 || lasts > LONGEST_SILENCE) {
        throw new Refused("bad-request", `a silence of ${body.duration}; expected 1s to 31d`);
      }
      return await book.change((changes) => {
        const now = alerting.now();
        const from = Math.max(now, body.from ?? now);
        if (from - now > LONGEST_SILENCE) throw new Refused("bad-request", "it begins in more than 31 days");
        if (book.table("silence").size >= MOST_SILENCES) {
          throw new Refused("too-many", `there are ${MOST_SILENCES} silences already; take some away first`);
        }
        const silence: Silence = {
          id: `si-${random(6).toString("hex")}`,
          match: Object.fromEntries(
            Object.entries(body.match).map(([name, values]) => [name, [values].flat()]),
          ),
          ...{ from, until: from + lasts, reason: body.reason, by: actor.name, at: now },
        };
        changes.put("silence", silence.id, silence);
        noteSilence(changes, "create", silence, actor, body.reason, now);
        const silenced = [...book.table("alert").values()].filter(
          (alert) => alert.phase.state === "firing" && matches(silence.match, allLabels(alert)),
        ).length;
        const answer: CommandAnswer = { status: 201, headers: {}, body: { ...silence, firing: silenced } };
        changes.also.push(...record(answer));
        return answer;
      });
    }),
  );

  api.delete<{ Params: { id: string }; Querystring: { reason: string } }>(
    "/v1/silences/:id",
    {
      config: { role: "operator" },
      schema: {
        summary: "Ends a silence: what fires is told",
        headers: CommandHeaders,
        params: SilenceId,
        querystring: Type.Object({ reason: Reason }, strict),
        response: responses(Anything),
      },
    },
    once<{ Params: { id: string }; Querystring: { reason: string } }>(commands, async (request, record) => {
      const { params, query, actor } = request;
      return await book.change((changes) => {
        const silence = book.table("silence").get(params.id);
        if (silence === undefined) throw new Refused("not-found", `there is no silence ${params.id}`);
        changes.delete("silence", silence.id);
        noteSilence(changes, "remove", silence, actor, query.reason, alerting.now());
        const answer: CommandAnswer = { status: 200, headers: {}, body: silence };
        changes.also.push(...record(answer));
        return answer;
      });
    }),
  );
}

function noteSilence(
  changes: Changes,
  action: "create" | "remove",
  silence: Silence,
  actor: Actor,
  reason: string,
  now: number,
): void {
  const { id, match, until } = silence;
  const text = JSON.stringify(silence);
  const [before, after] = action === "create" ? ["null", text] : [text, "null"];
  audit(changes, `silence.${action}`, `${id} ${JSON.stringify(match)}`, actor, reason, before, after, now);
  const body = JSON.stringify({ silence: id, action, match, until, by: actor.name, reason });
  changes.events.push({ at: now, type: "silence", body });
}
