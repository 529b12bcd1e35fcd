/** `--override RULE` and `tidegate override`: breaking a safety rule on purpose takes two people. */
import type { Command } from "commander";
import { type ApiClient, type ApiFailure, type ApiOptions, runApi, withApi } from "./api-client.ts";
import { moment, table } from "./tables.ts";

interface Override {
  readonly id: string;
  readonly rule: string;
  readonly digest: string;
  readonly what: string;
  readonly askedBy: string;
  readonly reason: string;
  readonly expires: number;
  readonly approvedBy?: string;
  readonly usedAt?: number;
}

interface Refusal {
  readonly rule: string;
  readonly override?: string;
}

/** Gives the API what was agreed to already, so that the command may pass. */
export async function presentOverrides(api: ApiClient, rule: string): Promise<void> {
  const { overrides } = await api.call<{ overrides: Override[] }>("GET", "/v1/overrides");
  api.overrides = overrides
    .filter((o) => o.rule === rule && o.approvedBy !== undefined && o.usedAt === undefined)
    .map((o) => o.id);
}

/** Asks for leave to break the rule that the command was refused by. @returns what to tell; undefined: it was another */
export async function askForOverride(
  api: ApiClient,
  rule: string,
  reason: string,
  { problem }: ApiFailure,
): Promise<string | undefined> {
  const violations = (problem?.violations ?? []) as Refusal[];
  const digest = violations.find((v) => v.rule === rule)?.override;
  if (digest === undefined) return undefined;
  const { overrides } = await api.call<{ overrides: Override[] }>("GET", "/v1/overrides");
  const asked = overrides.find((o) => o.digest === digest && o.usedAt === undefined);
  const what = `tidegate ${process.argv.slice(2).join(" ")}`.slice(0, 300);
  const { id, expires } =
    asked ?? (await api.call<Override>("POST", "/v1/overrides", { rule, digest, what, reason }));
  return (
    `override ${id} of ${rule} is asked for, until ${moment(expires)}; somebody else agrees with\n` +
    `  tidegate override approve ${id} --reason TEXT\nThen run the same command again.`
  );
}

export function registerOverrides(program: Command): void {
  const override = program
    .command("override")
    .description("break a safety rule on purpose: one asks with --override RULE, another one agrees");
  withApi(override.command("ls"))
    .description("what was asked for and agreed to, the last hour")
    .action((options: ApiOptions) =>
      runApi(options, async (api, print) => {
        const answer = await api.call<{ overrides: Override[] }>("GET", "/v1/overrides");
        print.say(answer, () =>
          table(
            ["override", "rule", "for", "by", "reason", "until", "agreed to by", ""],
            answer.overrides.map((o) => [
              o.id,
              o.rule,
              o.what,
              o.askedBy,
              o.reason,
              moment(o.expires),
              o.approvedBy ?? "",
              o.usedAt === undefined ? "" : "used",
            ]),
          ),
        );
      }),
    );
  withApi(override.command("approve"))
    .description("agree to what somebody else asked for")
    .argument("<id>", "from tidegate override ls")
    .requiredOption("--reason <text>", "why; the audit log keeps it")
    .action((id: string, options: ApiOptions & { reason: string }) =>
      runApi(options, async (api, print) => {
        const path = `/v1/overrides/${encodeURIComponent(id)}/approval`;
        const answer = await api.call<Override>("POST", path, { reason: options.reason });
        print.say(answer, () => `${id} is agreed to: ${answer.askedBy} may run it now, once`);
      }),
    );
}
