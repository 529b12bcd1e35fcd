/** `tidegate audit`: who did what, and the proof that the log is whole. `tidegate token`: who may. */
import type { Command } from "commander";
import { type ApiOptions, runApi, withApi } from "./api-client.ts";
import { allPages, countOf } from "./pages.ts";
import { moment, paint, table } from "./tables.ts";

interface Entry {
  readonly number: number;
  readonly at: number;
  readonly actor: string;
  readonly from: string;
  readonly action: string;
  readonly target: string;
  readonly reason: string;
}

interface Verification {
  readonly whole: boolean;
  readonly entries: number;
  readonly hash: string;
  readonly broken: { readonly number: number; readonly because: string } | null;
}

interface Token {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  readonly gateway?: string;
  readonly expiresAt: number;
  readonly token?: string;
}

interface CreateOptions {
  readonly role: string;
  readonly gateway?: string;
  readonly reason: string;
  readonly expires: string;
}

export function registerAudit(program: Command): void {
  const audit = program.command("audit").description("who did what, when, from where and why");
  withApi(audit.command("ls"))
    .description("entries, oldest first")
    .option("--after <n>", "begin behind this entry", "0")
    .option("--limit <n>", "how many", "100")
    .action((options: ApiOptions & { after: string; limit: string }) =>
      runApi(options, async (api, print) => {
        const most = countOf("--limit", options.limit);
        const { items, answer } = await allPages<Entry>(api, "/v1/audit", "entries", most, options.after);
        print.say(answer, () =>
          table(
            ["", "at", "by", "from", "action", "target", "reason"],
            items.map((e) => [`${e.number}`, moment(e.at), e.actor, e.from, e.action, e.target, e.reason]),
          ),
        );
      }),
    );
  withApi(audit.command("verify"))
    .description("check that no entry was changed, taken out or put in; exits with 1 when one was")
    .action((options: ApiOptions) =>
      runApi(options, async (api, print) => {
        const answer = await api.call<Verification>("GET", "/v1/audit/verification");
        print.say(answer, () =>
          answer.whole
            ? `${answer.entries} entries are whole; keep the last hash elsewhere to prove it later:\n${answer.hash}`
            : paint("red", `the log is broken at entry ${answer.broken?.number}: ${answer.broken?.because}`),
        );
        if (!answer.whole) process.exitCode = 1;
      }),
    );
}

export function registerTokens(program: Command): void {
  const token = program.command("token").description("who may do what");
  withApi(token.command("create"))
    .description("make a token; it is shown once")
    .argument("<name>", "whose it is")
    .requiredOption("--role <role>", "viewer, operator, approver, admin or gateway")
    .option("--gateway <name>", "with --role gateway: the one gateway that it may speak for")
    .requiredOption("--reason <text>", "why; the audit log keeps it")
    .option("--expires <duration>", "it ends after this", "90d")
    .action((name: string, options: ApiOptions & CreateOptions) =>
      runApi(options, async (api, print) => {
        const { role, gateway, reason, expires } = options;
        const body = { name, role, reason, expires, ...(gateway === undefined ? {} : { gateway }) };
        const answer = await api.call<Token>("POST", "/v1/tokens", body);
        print.say(
          answer,
          () => `${answer.token}\n${paint("dim", `${name}, ${role}, until ${moment(answer.expiresAt)}`)}`,
        );
      }),
    );
  withApi(token.command("ls"))
    .description("list tokens, without their secrets")
    .action((options: ApiOptions) =>
      runApi(options, async (api, print) => {
        const { items, answer } = await allPages<Token>(api, "/v1/tokens", "tokens");
        const rows = items.map((t) => [
          t.id,
          t.name,
          t.gateway === undefined ? t.role : `${t.role} ${t.gateway}`,
          moment(t.expiresAt),
        ]);
        print.say(answer, () => table(["token", "name", "role", "until"], rows));
      }),
    );
  withApi(token.command("revoke"))
    .description("end a token at once")
    .argument("<id>", "from tidegate token ls")
    .requiredOption("--reason <text>", "why; the audit log keeps it")
    .action((id: string, options: ApiOptions & { reason: string }) =>
      runApi(options, async (api, print) => {
        const path = `/v1/tokens/${encodeURIComponent(id)}?reason=${encodeURIComponent(options.reason)}`;
        print.say(await api.call("DELETE", path), () => `${id} is revoked`);
      }),
    );
}
