/** What an exchange is begun with. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Decision } from "../model/decide.ts";
import type { Table } from "../model/table.ts";
import type { Attempt } from "./attempt.ts";
import type { Core } from "./core.ts";
import type { Identity } from "./identify.ts";
import type { RequestBody } from "./request-body.ts";
import type { UpgradeHead } from "./upgrade-head.ts";

export interface Question {
  readonly core: Core;
  readonly table: Table;
  readonly decision: Decision;
  readonly identity: Identity;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: RequestBody | undefined;
  /** What the client sent behind its Upgrade; undefined for a plain request. */
  readonly upgradeHead: UpgradeHead | undefined;
  /** A unit's guard refused it before (course.ts): the attempts until then. */
  readonly corrected?: readonly Attempt[];
}
