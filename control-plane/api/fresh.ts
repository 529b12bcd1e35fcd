/** Documents of a revision: whoever has it already is told so, and nothing else (304). */
import type { FastifyReply, FastifyRequest } from "fastify";
import { type TSchema, Type } from "typebox";
import { responses } from "./schemas.ts";

/** What such a document may be asked for with. */
export const FreshHeaders = Type.Object({
  "if-none-match": Type.Optional(
    Type.String({
      maxLength: 1_000,
      description: "etags that the asker has: 304, and no body, where the revision's is among them",
    }),
  ),
});

/** The document, or that the asker has it. */
export function freshResponses(answer: TSchema): Record<string, unknown> {
  return { ...responses(answer), 304: Type.Null({ description: "the asker has it" }) };
}

/**
 * Call it before the work that it may spare.
 *
 * @param revision that the document is made of, and of nothing else
 * @returns whether the asker has it; then it was answered
 */
export function isSeen(
  { headers }: Pick<FastifyRequest, "headers">,
  reply: Pick<FastifyReply, "code" | "header" | "send">,
  revision: number,
): boolean {
  const etag = `"${revision}"`;
  // It may be kept, and is asked for again each time: a moment later it may be another.
  reply.header("etag", etag);
  reply.header("cache-control", "private, no-cache");
  const has = (headers["if-none-match"] ?? "").split(",").map((one) => one.trim().replace(/^W\//, ""));
  const isKnown = has.includes(etag) || has.includes("*");
  if (isKnown) reply.code(304).send();
  return isKnown;
}
