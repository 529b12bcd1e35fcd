/** Shapes that several resources share; OpenAPI is generated from them. */
import { type TSchema, Type } from "typebox";
import { parseDuration } from "../../model/configuration/quantity.ts";

export const Problem = Type.Object(
  { type: Type.String(), title: Type.String(), status: Type.Integer() },
  { additionalProperties: true, description: "RFC 9457" },
);

const REFUSALS = [400, 401, 403, 404, 409, 413, 415, 422, 429, 503];

/** An answer and everything that may come instead. */
export function responses(answer: TSchema, status = 200): Record<string, unknown> {
  const refused = { description: "refused", content: { "application/problem+json": { schema: Problem } } };
  return {
    [status]: { description: "done", content: { "application/json": { schema: answer } } },
    ...Object.fromEntries(REFUSALS.map((code) => [code, refused])),
  };
}

/** Why somebody does something: the audit log keeps it. */
export const Reason = Type.String({ minLength: 1, maxLength: 500, pattern: "\\S" });

/** Such as `10s`. */
export const Duration = Type.String({ maxLength: 20, pattern: "^[0-9]+(\\.[0-9]+)?(ms|s|m|h|d)$" });

/** The revision that the writer saw: another one by now is a conflict. */
export const Expect = Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 31 }));

/** @returns undefined when it is none. Tokens and overlays last for days, which the configuration language has not. */
export function durationFrom(text: string): number | undefined {
  return text.endsWith("d") ? Number.parseFloat(text) * 24 * 3_600_000 : parseDuration(text);
}

export const Page = Type.Object(
  {
    limit: Type.Optional(Type.String({ pattern: "^[0-9]{1,4}$", description: "at most 500" })),
    after: Type.Optional(Type.String({ pattern: "^[0-9]{1,15}$", description: "`next` of the page before" })),
  },
  { additionalProperties: false },
);

export interface PageQuery {
  readonly limit?: string;
  readonly after?: string;
}

/** How many to give. */
export function limitOf({ limit }: PageQuery): number {
  return Math.max(1, Math.min(500, Number(limit ?? 100)));
}

export const RevisionShape = Type.Object(
  {
    number: Type.Integer(),
    at: Type.Integer({ description: "milliseconds since 1970" }),
    author: Type.String(),
    reason: Type.String(),
    cause: Type.String(),
    base: Type.String(),
    overlays: Type.String(),
    effective: Type.String(),
  },
  { additionalProperties: false },
);

/** What is passed through as it is. */
export const Anything = Type.Unsafe<unknown>({});
