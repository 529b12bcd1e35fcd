/** Where we are: `#/units/sh` and the like, so that the control plane serves one page and nothing is fetched to get around. */
import { Store } from "./data/store.ts";

export interface Place {
  /** The page. */
  readonly page: string;
  /** What is looked at on it. */
  readonly rest: readonly string[];
  readonly query: URLSearchParams;
}

export const place = new Store<Place>(placeOf(""));

export function placeOf(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [page = "", ...rest] = path.split("/").map(decode);
  return { page: page === "" ? "fleet" : page, rest, query: new URLSearchParams(query) };
}

/** A link to a page. Names come from others, and stand for themselves whatever is in them. */
export function to(page: string, ...rest: readonly string[]): string {
  return `#/${[page, ...rest].map(encodeURIComponent).join("/")}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
