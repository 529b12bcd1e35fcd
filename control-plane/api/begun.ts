/** The answer to a command that began an execution, of whatever kind. */
import type { CommandAnswer } from "../commands.ts";
import type { Execution } from "../runbook/execution.ts";

export function begun(execution: Execution): CommandAnswer {
  return { status: 201, headers: { location: `/v1/executions/${execution.id}` }, body: execution };
}
