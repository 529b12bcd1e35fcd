/** `tidegate apply`, `diff`, `history`, `rollback`: the base configuration of a running fleet. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { readConfigDir } from "../host/config-dir.ts";
import { formatProblem } from "../model/problem.ts";
import {
  type ApiClient,
  ApiFailure,
  type ApiOptions,
  type Printer,
  runApi,
  withApi,
  withOverride,
} from "./api-client.ts";
import { allPages, countOf } from "./pages.ts";
import { type Difference, differencesText, type Preview, previewText, sayDryRun } from "./previews.ts";
import { moment, paint, table } from "./tables.ts";

interface Revision {
  readonly number: number;
  readonly at: number;
  readonly author: string;
  readonly reason: string;
  readonly cause: string;
}

type ApplyOptions = ApiOptions & {
  readonly reason: string;
  readonly expect?: string;
  readonly dryRun?: boolean;
};

const CONVERGE = 5_000;

export function registerConfiguration(program: Command): void {
  withOverride(withApi(program.command("apply")))
    .description("make the files of a directory the base configuration")
    .argument("<dir>", "directory with fleet.yaml and routes.yaml")
    .requiredOption("--reason <text>", "why; the history and the audit log keep it")
    .option("--dry-run", "only say what it would change, and which safety rules would refuse it")
    .option("--expect <revision>", "refuse when another revision is the newest by now")
    .addHelpText(
      "after",
      "\nExample:\n  tidegate diff configs/demo && tidegate apply configs/demo --reason 'new lobby'",
    )
    .action((dir: string, options: ApplyOptions) =>
      runApi(options, async (api, print) => {
        const { reason, dryRun } = options;
        if (dryRun === true) {
          sayDryRun(print, await api.call<Preview>("POST", "/v1/config/preview", { files: filesOf(dir) }));
          return;
        }
        const expect = options.expect === undefined ? {} : { expect: Number(options.expect) };
        const body = { files: filesOf(dir), reason, ...expect };
        const answer = await api.call<{ revision: Revision; warnings: string[] }>("PUT", "/v1/config", body);
        await told(api, print, answer, answer.revision.number, `revision ${answer.revision.number}`);
        for (const warning of answer.warnings) process.stderr.write(`${warning}\n`);
      }),
    );

  withApi(program.command("diff"))
    .description("what differs: between two revisions, or between what is served and a directory")
    .argument("<from>", "a revision, or a directory")
    .argument("[to]", "a revision; not with a directory")
    .addHelpText("after", "\nExamples:\n  tidegate diff 6 7\n  tidegate diff configs/demo")
    .action((from: string, to: string | undefined, options: ApiOptions) =>
      runApi(options, async (api, print) => {
        const answer =
          to === undefined
            ? await api.call<Preview>("POST", "/v1/config/preview", { files: filesOf(from) })
            : await api.call<{ differences: Difference[] }>("GET", `/v1/diff?from=${from}&to=${to}`);
        print.say(answer, () =>
          "violations" in answer ? previewText(answer) : differencesText(answer.differences),
        );
      }),
    );

  withApi(program.command("history"))
    .description("revisions, newest first")
    .option("--limit <n>", "how many", "20")
    .action((options: ApiOptions & { limit: string }) =>
      runApi(options, async (api, print) => {
        const most = countOf("--limit", options.limit);
        const { items, answer } = await allPages<Revision>(api, "/v1/revisions", "revisions", most);
        print.say(answer, () =>
          table(
            ["revision", "at", "by", "cause", "reason"],
            items.map((r) => [`${r.number}`, moment(r.at), r.author, r.cause, r.reason]),
          ),
        );
      }),
    );

  withOverride(withApi(program.command("rollback")))
    .description("make the base of an older revision the newest again; overlays stay")
    .argument("<revision>", "its number, from tidegate history")
    .requiredOption("--reason <text>", "why; the history and the audit log keep it")
    .option("--dry-run", "only say what it would change, and which safety rules would refuse it")
    .action((revision: string, options: ApiOptions & { reason: string; dryRun?: boolean }) =>
      runApi(options, async (api, print) => {
        if (options.dryRun === true) {
          const path = `/v1/revisions/${encodeURIComponent(revision)}/rollback`;
          return sayDryRun(print, await api.call<Preview>("GET", path));
        }
        const body = { to: Number(revision), reason: options.reason };
        const answer = await api.call<{ revision: Revision }>("POST", "/v1/rollback", body);
        const { number } = answer.revision;
        await told(api, print, answer, number, `revision ${number} has the base of ${revision}`);
      }),
    );
}

/** Says what was done, and how far it has come. */
export async function told(
  api: ApiClient,
  print: Printer,
  answer: unknown,
  revision: number,
  what: string,
): Promise<void> {
  const path = `/v1/revisions/${revision}/convergence?wait=${CONVERGE}`;
  const { live, behind, refused } = await api.call<{ live: number; behind: string[]; refused: string[] }>(
    "GET",
    path,
  );
  const convergence = { live, behind, refused };
  print.say({ ...(answer as object), convergence }, () => {
    const served = live - behind.length - refused.length;
    const lines = [`${what}; ${served} of ${live} gateways serve it`];
    if (behind.length > 0) lines.push(paint("yellow", `not yet: ${behind.join(", ")}`));
    if (refused.length > 0)
      lines.push(paint("red", `refused by: ${refused.join(", ")} (tidegate status says why)`));
    return lines.join("\n");
  });
  if (refused.length > 0 || behind.length > 0) process.exitCode = 1;
}

export function filesOf(dir: string): Record<string, string> {
  if (!statSync(dir, { throwIfNoEntry: false })?.isDirectory())
    throw new ApiFailure(`there is no directory ${dir}`);
  const { problems, files, config } = readConfigDir(dir);
  if (config === undefined) {
    throw new ApiFailure(`${dir} is invalid; nothing was sent`, {
      title: "the configuration is invalid",
      problems: problems.map((p) => ({ ...p, text: formatProblem(p) })),
    });
  }
  const texts: Record<string, string> = {};
  for (const name of files) {
    const path = join(dir, name);
    if (statSync(path, { throwIfNoEntry: false }) !== undefined) texts[name] = readFileSync(path, "utf8");
  }
  return texts;
}
