/** Shapes that several resources share; OpenAPI is generated from them. */
import { type TSchema, Type } from "typebox";
import { parseDuration } from "../../model/configuration/quantity.ts";

export const Problem = Type.Object(
  { type: Type.String(), title: Type.String(), status: Type.Integer() },
  { additionalProperties: true, description: "RFC 9457" },
);

const CODES = [400, 401, 403, 404, 409, 413, 414, 415, 422, 429, 500, 503];
const refused = { description: "refused", content: { "application/problem+json": { schema: Problem } } };

/** What may come in the place of every answer. */
export const REFUSALS: Readonly<Record<string, object>> = Object.fromEntries(
  CODES.map((code) => [code, refused]),
);

/** An answer and everything that may come instead. */
export function responses(answer: TSchema, status = 200): Record<string, unknown> {
  return {
    [status]: { description: "done", content: { "application/json": { schema: answer } } },
    ...REFUSALS,
  };
}

/** What every command may be sent with. */
export const CommandHeaders = Type.Object({
  "idempotency-key": Type.Optional(
    Type.String({
      pattern: "^[ -~]{1,100}$",
      description: "any text of your own: the same command with the same key is done once, for 24 hours",
    }),
  ),
});

/** What commands on revisions may be sent with, too. */
export const RevisionHeaders = Type.Object({
  ...CommandHeaders.properties,
  "if-match": Type.Optional(
    Type.String({
      pattern: '^(\\*|"[0-9]{1,10}")$',
      description: "the revision that was seen, in quotes; another one by now is a conflict",
    }),
  ),
});

/** What moves the cursor of a reader's terminal is no text for people. */
const UNREADABLE = "\\u0000-\\u001f\\u007f-\\u009f";
const READABLE = `[^${UNREADABLE}]`;

/** Why somebody does something: the audit log keeps it. */
export const Reason = Type.String({
  minLength: 1,
  maxLength: 500,
  pattern: `^${READABLE}*[^\\s${UNREADABLE}]${READABLE}*$`,
  description: "one line of text",
});

/** Of a thing of the configuration, or a key of somebody. */
export const Name = Type.String({ minLength: 1, maxLength: 200, pattern: `^${READABLE}+$` });

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
