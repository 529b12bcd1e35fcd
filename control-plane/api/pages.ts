/** Pages of lists whose things have names. */
import { Type } from "typebox";

/** Of one page: most lists are one. */
const MOST = 500;

export const NamedPage = Type.Object(
  {
    limit: Type.Optional(
      Type.String({ pattern: "^[0-9]{1,4}$", description: `at most ${MOST}, which is what is given` }),
    ),
    after: Type.Optional(
      Type.String({ minLength: 1, maxLength: 200, description: "`next` of the page before" }),
    ),
  },
  { additionalProperties: false },
);

/** Where the next page begins. */
export const Next = Type.Union([Type.String(), Type.Null()], {
  description: "`after` of the next page; null: this is the last",
});

export interface NamedPageQuery {
  readonly limit?: string;
  readonly after?: string;
}

// As people count: gw-2 before gw-10.
const { compare } = new Intl.Collator("en", { numeric: true });

/** Pure. In the order of their names, so that no page shows twice, or leaves out, what was there all the time. */
export function pageOf<T>(
  list: readonly T[],
  nameOf: (item: T) => string,
  { limit, after }: NamedPageQuery,
): { readonly page: T[]; readonly next: string | null } {
  const most = Math.max(1, Math.min(MOST, Number(limit ?? MOST)));
  const left = after === undefined ? list : list.filter((item) => order(nameOf(item), after) > 0);
  const page = left.toSorted((a, b) => order(nameOf(a), nameOf(b))).slice(0, most);
  return { page, next: left.length > most ? nameOf(page.at(-1)!) : null };
}

function order(a: string, b: string): number {
  return compare(a, b) || (a < b ? -1 : a > b ? 1 : 0);
}
