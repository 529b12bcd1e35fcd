/**
 * The page behind the link of a message: it shows what would be acknowledged, and a button does it. Whoever only looks at a
 * link, as chats and mail filters do, changes nothing.
 */
import type { FastifyInstance, FastifyReply } from "fastify";
import { Type } from "typebox";
import { type AckClaim, readAckToken } from "../alerts/ack-token.ts";
import { Refused } from "../refused.ts";
import { acknowledge } from "./alerts.ts";
import type { Plane } from "./server.ts";

const SECURITY: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
};
const Params = Type.Object({ token: Type.String({ maxLength: 300 }) });
const MOST_SHOWN = 50;

export function registerAcknowledgement(api: FastifyInstance, { alerting }: Plane): void {
  const { book } = alerting;

  const claimOf = async (token: string): Promise<AckClaim | undefined> => {
    const keys = await alerting.list("alert-key");
    return keys[0] === undefined ? undefined : readAckToken(token, keys[0].key, alerting.now());
  };

  api.register(async (pages) => {
    // What a form without fields sends: nothing.
    pages.addContentTypeParser(
      "application/x-www-form-urlencoded",
      { bodyLimit: 1024 },
      (_request, payload, done) => {
        payload.resume();
        payload.on("end", () => done(null, undefined));
      },
    );

    pages.get<{ Params: { token: string } }>(
      "/ack/:token",
      { schema: { hide: true, params: Params } },
      async ({ params }, reply) => {
        const claim = await claimOf(params.token);
        if (claim === undefined) return page(reply, 404, "This link is over, or was never made.", "");
        const firing = book.isRead ? firingOf(claim) : [];
        const list = firing.slice(0, MOST_SHOWN).map(({ severity, rule, summary, ack }) => {
          const by = ack === undefined ? "" : ` <i>(acknowledged by ${escaped(ack.by)})</i>`;
          return `<li><b>${severity} ${escaped(rule)}</b>: ${escaped(summary)}${by}</li>`;
        });
        const more = firing.length > MOST_SHOWN ? `<li>and ${firing.length - MOST_SHOWN} more</li>` : "";
        const isOpen = !book.isRead || firing.some(({ ack }) => ack === undefined);
        const form = isOpen ? '<form method="post"><button>Acknowledge</button></form>' : "";
        const title =
          book.isRead && firing.length === 0
            ? "Nothing of this fires any more."
            : "Acknowledge these alerts?";
        return page(reply, 200, title, `<ul>${list.join("")}${more}</ul>${form}`);
      },
    );

    pages.post<{ Params: { token: string } }>(
      "/ack/:token",
      { schema: { hide: true, params: Params } },
      async ({ params, ip }, reply) => {
        const claim = await claimOf(params.token);
        if (claim === undefined) return page(reply, 404, "This link is over, or was never made.", "");
        const actor = { name: `link of ${claim.channel}`, from: ip };
        try {
          const count = await book.change((changes) => {
            const open = firingOf(claim).filter(({ ack }) => ack === undefined);
            for (const alert of open)
              acknowledge(changes, alert, actor, `link of ${claim.message}`, alerting.now());
            return open.length;
          });
          return page(
            reply,
            200,
            count === 0 ? "There was nothing left to acknowledge." : `Acknowledged: ${count}.`,
            "",
          );
        } catch (error) {
          if (!(error instanceof Refused)) throw error;
          return page(reply, 503, "It was not acknowledged. Try again in a few seconds.", "");
        }
      },
    );
  });

  /** What fires now of what the message spoke of, in the same firing. */
  const firingOf = ({ message }: AckClaim) => {
    const told = book.table("alert-message").get(message)?.firing ?? [];
    return told.flatMap(({ id, firedAt }) => {
      const alert = book.table("alert").get(id);
      return alert?.phase.state === "firing" && alert.phase.firedAt === firedAt ? [alert] : [];
    });
  };
}

function page(reply: FastifyReply, status: number, title: string, body: string): FastifyReply {
  const head = `<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Tidegate</title>`;
  const style =
    "<style>body{font:16px system-ui;margin:2rem;max-width:40rem}button{font:inherit;padding:.6rem 1.2rem}</style>";
  return reply
    .code(status)
    .headers(SECURITY)
    .type("text/html; charset=utf-8")
    .send(
      `<!doctype html><html lang="en"><head>${head}${style}</head><body><h1>${escaped(title)}</h1>${body}</body></html>\n`,
    );
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
