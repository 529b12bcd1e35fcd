/**
 * Empties V8's nursery when much has been streamed.
 *
 * Every read of a socket is a buffer outside V8's heap, and V8 lets 64 MiB and more of them gather before it looks
 * whether anybody still needs them. A gateway that streams allocates little else, so its memory would swing by that
 * much for every thread. A collection of the nursery alone takes well under a millisecond, once per 16 MiB.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const EVERY = 16 * 1_048_576;

export class Nursery {
  readonly #collect: () => void;
  #streamed = 0;

  /** @param collect empties the nursery; see `nurseryCollector` */
  constructor(collect: () => void) {
    this.#collect = collect;
  }

  /** So many bytes were read from a socket. */
  streamed(bytes: number): void {
    this.#streamed += bytes;
    if (this.#streamed < EVERY) return;
    this.#streamed = 0;
    this.#collect();
  }
}

/** V8's own collector of the nursery, which Node hands out only behind a flag. */
export function nurseryCollector(): () => void {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as (options: { type: "minor" }) => void;
  return () => gc({ type: "minor" });
}
