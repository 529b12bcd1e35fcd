/** The fourth step: begins the exchange with the units. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Decision } from "../model/decide.ts";
import type { Table } from "../model/table.ts";
import type { Core } from "./core.ts";
import { Exchange } from "./exchange.ts";
import type { Identity } from "./identify.ts";
import { RequestBody } from "./request-body.ts";
import type { UpgradeHead } from "./upgrade-head.ts";

export function forward(
  core: Core,
  table: Table,
  decision: Decision,
  identity: Identity,
  request: IncomingMessage,
  response: ServerResponse,
  upgradeHead: UpgradeHead | undefined,
): void {
  const { head } = identity;
  const body =
    upgradeHead === undefined && hasBody(request, head.contentLength, head.chunked)
      ? new RequestBody(request, decision.route.spec.maxBody, core.settings.replayBody, head.contentLength)
      : undefined;
  new Exchange({ core, table, decision, identity, request, response, body, upgradeHead }).begin();
}

function hasBody(
  request: IncomingMessage & { stream?: { endAfterHeaders?: boolean } },
  contentLength: number | undefined,
  chunked: boolean,
): boolean {
  if (contentLength !== undefined) return contentLength > 0;
  // HTTP/2 frames bodies without either field.
  return chunked || (request.httpVersionMajor === 2 && request.stream?.endAfterHeaders === false);
}
