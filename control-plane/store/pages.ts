/** Reads everything of a store in pages: what both stores do alike when they are dumped. */
import type { Page, Tables } from "./store.ts";

interface Layout {
  readonly columns: readonly string[];
  /** What names a row, and orders them. */
  readonly key: readonly string[];
  /** Rows of a page: blobs may be megabytes each. */
  readonly rows: number;
}

export type RowTable = Exclude<keyof Tables, "leadership">;

export const LAYOUTS: Readonly<Record<RowTable, Layout>> = {
  revisions: {
    columns: ["number", "at", "author", "reason", "cause", "base", "overlays", "effective"],
    key: ["number"],
    rows: 500,
  },
  blobs: { columns: ["digest", "content"], key: ["digest"], rows: 4 },
  documents: { columns: ["kind", "id", "version", "body"], key: ["kind", "id"], rows: 200 },
  events: { columns: ["number", "at", "type", "body"], key: ["number"], rows: 500 },
  audit: {
    columns: ["number", "at", "actor", "from", "action", "target", "reason", "before", "after", "hash"],
    key: ["number"],
    rows: 500,
  },
};

export const ROW_TABLES = Object.keys(LAYOUTS) as RowTable[];

export type Value = string | number;
type Row = Readonly<Record<string, Value>>;

/** `"number", "at"`: every name quoted, for `from` is a word of SQL. */
export function quotedList(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(", ");
}

/**
 * @param select runs a statement with `?` for its values, in a transaction that sees one moment
 * @param named the table's name in SQL
 */
export async function* pagesOf(
  epoch: number,
  select: (sql: string, values: readonly Value[]) => Promise<unknown[]> | unknown[],
  named: (table: RowTable) => string,
): AsyncGenerator<Page> {
  yield { table: "leadership", rows: [{ epoch }] };
  for (const table of ROW_TABLES) {
    const { columns, key, rows: most } = LAYOUTS[table];
    const names = quotedList(key);
    const from = `SELECT ${quotedList(columns)} FROM ${named(table)}`;
    const above = `WHERE (${names}) > (${key.map(() => "?").join(", ")})`;
    const order = `ORDER BY ${names} LIMIT ${most}`;
    let last: Row | undefined;
    for (;;) {
      const values = last === undefined ? [] : key.map((name) => last![name]!);
      const sql = `${from} ${last === undefined ? "" : above} ${order}`;
      const rows = (await select(sql, values)) as Row[];
      if (rows.length > 0) yield { table, rows } as unknown as Page;
      if (rows.length < most) break;
      last = rows.at(-1);
    }
  }
}
