/** What a change would do, before anybody does it: one form of answer for every kind of change. */
import { Type } from "typebox";
import { formatProblem } from "../../model/problem.ts";
import { differences } from "../difference.ts";
import type { Draft } from "../draft.ts";
import type { Deed } from "../safety-gate.ts";
import { Anything, responses } from "./schemas.ts";
import type { Plane } from "./server.ts";

/** Warnings that an answer has room for. */
export const MOST_WARNINGS = 100;

export const previewResponses = responses(
  Type.Object(
    {
      revision: Type.Integer({ description: "the newest, on which it was worked out; 0: there is none yet" }),
      differences: Type.Array(Anything, { description: "of what gateways serve, field by field" }),
      violations: Type.Array(Anything, { description: "safety rules that would refuse it" }),
      warnings: Type.Array(Type.String()),
    },
    { additionalProperties: true },
  ),
);

/** @param same it changes nothing, which nothing refuses */
export function previewOf({ violations }: Plane, draft: Draft, deed: Deed, same = false) {
  const { before, config, warnings } = draft;
  return {
    revision: before?.revision.number ?? 0,
    differences: differences(before?.config, config),
    violations: same ? [] : violations(draft, deed),
    warnings: warnings.slice(0, MOST_WARNINGS).map(formatProblem),
  };
}
