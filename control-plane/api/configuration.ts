/** The base configuration: read, compared, replaced. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { digestOf, encodeBase, MOST_BASE_BYTES, readBase } from "../base.ts";
import type { CommandAnswer } from "../commands.ts";
import { draftApply, needed, type Standing } from "../draft.ts";
import { formatProblem } from "../../model/problem.ts";
import { baseFrom, Files } from "./files.ts";
import { FreshHeaders, freshResponses, isSeen } from "./fresh.ts";
import { once } from "./once.ts";
import { MOST_WARNINGS, previewOf, previewResponses } from "./previews.ts";
import { Anything, Expect, Reason, responses, RevisionHeaders, RevisionShape } from "./schemas.ts";
import { seen } from "./seen.ts";
import type { Plane } from "./server.ts";

const Apply = Type.Object({ files: Files, reason: Reason, expect: Expect }, { additionalProperties: false });

interface ApplyBody {
  readonly files: Readonly<Record<string, string>>;
  readonly reason: string;
  readonly expect?: number;
}

export function registerConfiguration(api: FastifyInstance, plane: Plane): void {
  const { desk, reader, commands } = plane;
  api.get(
    "/v1/config",
    {
      config: { role: "viewer" },
      schema: {
        summary: "The files of the base, and what gateways serve of them",
        headers: FreshHeaders,
        response: freshResponses(Anything),
      },
    },
    async (request, reply) => {
      const { revision, base, config } = needed(desk.standing);
      if (isSeen(request, reply, revision.number)) return reply;
      return { revision, files: Object.fromEntries(base), effective: config };
    },
  );

  const changed = Type.Object({ revision: RevisionShape, warnings: Type.Array(Type.String()) });
  api.put<{ Body: ApplyBody }>(
    "/v1/config",
    {
      config: { role: "operator" },
      // JSON escapes of text take room, too.
      bodyLimit: MOST_BASE_BYTES * 2,
      schema: {
        summary: "Replaces the base; `expect` or If-Match names the revision that was seen",
        headers: RevisionHeaders,
        body: Apply,
        response: responses(changed),
      },
    },
    once<{ Body: ApplyBody }>(commands, async ({ body, headers, actor }, record) => {
      const { files, reason, expect } = body;
      const base = baseFrom(files);
      const told = ({ revision }: Standing): CommandAnswer => {
        const warnings = readBase(base).problems.slice(0, MOST_WARNINGS).map(formatProblem);
        return { status: 200, headers: { etag: `"${revision.number}"` }, body: { revision, warnings } };
      };
      return told(await desk.apply(base, seen(headers, expect), reason, actor, (s) => record(told(s))));
    }),
  );

  api.post<{ Body: Pick<ApplyBody, "files"> }>(
    "/v1/config/preview",
    {
      config: { role: "viewer" },
      bodyLimit: MOST_BASE_BYTES * 2,
      schema: {
        summary: "What applying these files would change, and the safety rules that would refuse it",
        body: Type.Object({ files: Files }, { additionalProperties: false }),
        response: previewResponses,
      },
    },
    async (request) => {
      const base = baseFrom(request.body.files);
      await reader.read(base, "look");
      const { standing } = desk;
      const draft = draftApply(standing, base);
      const deed = { actions: ["apply"], target: "configuration", actor: request.actor };
      // The same files again are no change, which nothing refuses.
      const isSame = standing?.revision.base === digestOf(encodeBase(base));
      return previewOf(plane, draft, deed, isSame);
    },
  );
}
