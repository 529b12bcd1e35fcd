/** Which store: a file in a directory, or a PostgreSQL server. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { PostgresStore } from "./postgres-store.ts";
import { SqliteStore } from "./sqlite-store.ts";
import { type Store, Unavailable } from "./store.ts";

export interface StorePlace {
  /** `postgres://…`; undefined: the file in `data`. */
  readonly database: string | undefined;
  readonly data: string;
}

/** @returns what is wrong with a database's URL; its password is not in it */
export function wrongDatabase(database: string | undefined): string | undefined {
  if (database === undefined || /^postgres(ql)?:$/.test(URL.parse(database)?.protocol ?? ""))
    return undefined;
  return "--database (or TIDEGATE_DATABASE) is no URL such as postgres://user@host:5432/tidegate";
}

/**
 * @param now milliseconds since 1970 · @param make an empty one where there is none
 * @throws Unavailable
 */
export async function openStore(
  { database, data }: StorePlace,
  now: () => number,
  make: boolean,
): Promise<Store> {
  if (database !== undefined) return PostgresStore.open({ url: database });
  const file = join(data, "tidegate.db");
  if (make) mkdirSync(data, { recursive: true, mode: 0o700 });
  else if (!existsSync(file)) throw new Unavailable(`there is no ${file}; say where it is with --data`);
  return new SqliteStore(file, now);
}
