/** `tidegate store`: what a control plane keeps, while none needs to run: copies of it, and another place for it. */
import type { Command } from "commander";

interface Place {
  readonly data: string;
  readonly database?: string;
}

interface Target {
  readonly toData?: string;
  readonly toDatabase?: string;
  readonly epoch: string;
}

export function registerStore(program: Command): void {
  const store = program
    .command("store")
    .description("back up what a control plane keeps, or move it elsewhere");

  withPlace(store.command("backup"))
    .description("write a whole copy, consistent in itself, to a new file; the control plane may run on")
    .argument("<file>", "a SQLite file that is not there yet")
    .addHelpText(
      "after",
      `
A backup holds the hashes of tokens and the audit log, not the signing key: keep that beside it.
To restore it, make it tidegate.db of a new --data directory, with signing-key.pem beside it.

Example:
  tidegate store backup tidegate-2026-11-23.db --data /var/lib/tidegate`,
    )
    .action((file: string, place: Place) =>
      run(place, async (opened) => {
        await opened.backup(file);
        return `${opened.where} is backed up in ${file}`;
      }),
    );

  withPlace(store.command("move"))
    .description("copy everything into another, empty store; stop the control planes of both first")
    .option("--to-data <dir>", "into a file in this directory")
    .option("--to-database <url>", "into this PostgreSQL server")
    .option("--epoch <n>", "the highest epoch that any gateway has seen, where the copy may be older", "0")
    .addHelpText(
      "after",
      `
Example:
  tidegate store move --data /var/lib/tidegate --to-database postgres://tidegate@db/tidegate`,
    )
    .action((options: Place & Target) => move(options, options));
}

function withPlace(command: Command): Command {
  return command
    .option("--data <dir>", "where the control plane keeps everything", "tidegate-data")
    .option("--database <url>", "its PostgreSQL server; or TIDEGATE_DATABASE");
}

async function move(from: Place, { toData, toDatabase, epoch }: Target): Promise<void> {
  if ((toData === undefined) === (toDatabase === undefined)) {
    process.stderr.write("tidegate store move: expected either --to-data or --to-database\n");
    process.exitCode = 2;
    return;
  }
  await run(from, async (opened) => {
    const { openStore } = await import("../control-plane/store/open.ts");
    const { copyStore } = await import("../control-plane/store/copy.ts");
    const target = await openStore({ data: toData ?? "", database: toDatabase }, Date.now, true);
    try {
      const { rows, broken } = await copyStore(opened, target, { epoch: Number(epoch) });
      const counts = `${rows.revisions} revisions, ${rows.documents} documents, ${rows.audit} audit entries`;
      const warning = broken === undefined ? "" : `\nthe audit log was broken already: ${broken.because}`;
      return `${opened.where} is copied to ${target.where}: ${counts}${warning}`;
    } finally {
      await target.close();
    }
  });
}

/** 0 done, 1 the store said no. */
async function run(
  { data, database }: Place,
  act: (store: import("../control-plane/store/store.ts").Store) => Promise<string>,
): Promise<void> {
  const { openStore, wrongDatabase } = await import("../control-plane/store/open.ts");
  const url = database ?? process.env.TIDEGATE_DATABASE;
  const wrong = wrongDatabase(url);
  if (wrong !== undefined) {
    process.stderr.write(`tidegate store: ${wrong}\n`);
    process.exitCode = 2;
    return;
  }
  try {
    const store = await openStore({ data, database: url }, Date.now, false);
    try {
      process.stdout.write(`${await act(store)}\n`);
    } finally {
      await store.close();
    }
  } catch (error) {
    process.stderr.write(`tidegate store: ${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
