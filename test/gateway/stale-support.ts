/** A stale cache on a hand-turned clock, and units' answers to it in one line. */
import { StaleCache } from "../../gateway/stale-cache.ts";
import type { StaleQuestion } from "../../gateway/stale-entry.ts";
import { HandClock } from "./support.ts";

export type Fields = Record<string, string | string[]>;
export interface Asked {
  readonly method?: string;
  readonly host?: string;
  readonly target?: string;
  readonly user?: string | undefined;
  readonly headers?: readonly string[];
  readonly plain?: boolean;
}

export const KIB = 1_024;
export const POLICY = { for: 600_000, size: 256 * KIB, largest: 16 * KIB };

export const question = (asked: Asked = {}): StaleQuestion => ({
  method: "GET",
  host: "shop.example",
  target: "/hall",
  user: undefined,
  headers: [],
  plain: true,
  ...asked,
});

export function setUp(policy = POLICY) {
  const clock = new HandClock();
  const cache = new StaleCache(policy, clock);
  /** One whole answer of a unit. */
  const serve = (asked: Asked, headers: Fields = {}, text = "good", status = 200): void => {
    const recorder = cache.record(question(asked));
    const body = Buffer.from(text);
    if (recorder?.head(status, { "content-length": `${body.length}`, ...headers }) !== true) return;
    recorder.data(body);
    recorder.end();
  };
  const found = (asked: Asked = {}): string | undefined => cache.find(question(asked))?.body.toString();
  return { clock, cache, serve, found };
}
