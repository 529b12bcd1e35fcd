/**
 * Commands with an `Idempotency-Key`: sent again, they give the same answer and change nothing.
 *
 * The same key with another request is refused: whoever made it did not mean to repeat anything.
 */
import { createHash } from "node:crypto";
import type { FastifyReply, FastifyRequest, RouteGenericInterface } from "fastify";
import { type CommandAnswer, type Commands, commandId, type Untold } from "../commands.ts";
import { Refused } from "../refused.ts";
import type { PutDocument } from "../store/store.ts";

const KEY = /^[\x20-\x7e]{1,100}$/;

/** @returns what has to be written together with what the command changes */
export type Record = (answer: CommandAnswer | Untold) => readonly PutDocument[];

type Handler<R extends RouteGenericInterface> = (
  request: FastifyRequest<R>,
  reply: Pick<FastifyReply, "code" | "header" | "send">,
) => Promise<unknown>;

/** @param act does it, and says what is answered; `record` has to be part of its commit */
export function once<R extends RouteGenericInterface>(
  commands: Commands,
  act: (request: FastifyRequest<R>, record: Record) => Promise<CommandAnswer>,
): Handler<R> {
  return async (request, reply) => {
    const given = keyOf(request);
    if (given === undefined) return send(reply, await act(request, () => []));
    const id = commandId(request.actor.name, given);
    const digest = digestOf(request);
    const again = async (): Promise<CommandAnswer | undefined> => {
      const done = await commands.find(id);
      if (done === undefined) return undefined;
      if (done.digest !== digest) {
        throw new Refused(
          "idempotency-mismatch",
          "another command was done with this idempotency-key; take a new key for a new command",
        );
      }
      reply.header("idempotency-replayed", "true");
      if ("untold" in done.answer) throw new Refused("conflict", done.answer.untold);
      return done.answer;
    };
    const before = await again();
    if (before !== undefined) return send(reply, before);
    try {
      return send(reply, await act(request, (answer) => [commands.record(id, digest, answer)]));
    } catch (error) {
      // The same command may have been done meanwhile: by the request that this one repeats.
      if (!(error instanceof Refused)) throw error;
      const meanwhile = await again();
      if (meanwhile === undefined) throw error;
      return send(reply, meanwhile);
    }
  };
}

function send(reply: Parameters<Handler<object>>[1], { status, headers, body }: CommandAnswer): unknown {
  reply.code(status);
  for (const [name, value] of Object.entries(headers)) reply.header(name, value);
  return body;
}

/** @throws Refused */
function keyOf({ headers }: { readonly headers: FastifyRequest["headers"] }): string | undefined {
  const key = headers["idempotency-key"];
  if (key === undefined) return undefined;
  if (typeof key !== "string" || !KEY.test(key)) {
    throw new Refused("bad-request", "idempotency-key must be 1 to 100 printable ASCII characters");
  }
  return key;
}

function digestOf({
  method,
  url,
  headers,
  bodyDigest,
}: Pick<FastifyRequest, "method" | "url" | "headers" | "bodyDigest">): string {
  const asked = JSON.stringify([method, url, bodyDigest, headers["if-match"] ?? ""]);
  return createHash("sha256").update(asked).digest("hex");
}
