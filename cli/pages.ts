/** Lists of the API, page after page. */
import { type ApiClient, ApiFailure } from "./api-client.ts";

/** More pages than this are none of ours. */
const MOST_PAGES = 1_000;
/** Of one page: what the API gives at most. */
const PAGE = 500;

/** @throws ApiFailure when it is no number of things */
export function countOf(flag: string, text: string): number {
  const count = Number(text);
  if (/^\d{1,6}$/.test(text) && count >= 1) return count;
  throw new ApiFailure(`${flag} is ${JSON.stringify(text)}; expected a number from 1 to 999999`);
}

/**
 * @param path of the list, without a query
 * @param field of the answer that holds the list
 * @param most that are wanted; the rest is not asked for
 * @param from where to begin: `next` of an earlier page
 * @returns the answer as if it had been one page
 * @throws ApiFailure
 */
export async function allPages<T>(
  api: ApiClient,
  path: string,
  field: string,
  most = Number.POSITIVE_INFINITY,
  from?: string,
): Promise<{ readonly items: T[]; readonly answer: object }> {
  const items: T[] = [];
  let after = from;
  for (let page = 0; page < MOST_PAGES && items.length < most; page++) {
    const query = new URLSearchParams({ limit: `${Math.min(PAGE, most - items.length)}` });
    if (after !== undefined) query.set("after", after);
    const answer = await api.call<Record<string, unknown>>("GET", `${path}?${query}`);
    items.push(...(answer[field] as T[]));
    after = (answer.next as string | null | undefined) ?? undefined;
    if (after === undefined) break;
  }
  return { items, answer: { [field]: items, next: after ?? null } };
}
