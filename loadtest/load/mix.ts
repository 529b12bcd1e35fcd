/** Who asks for what: classes of requests in their shares, and users drawn from a seeded generator. */
import type { Random } from "../../model/clock.ts";

export interface LoadClass {
  readonly name: string;
  /** Of all requests; the shares need not sum to 1. */
  readonly share: number;
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Whose requests they are: this many users, each as often as the others. One user is a greedy one. Default 1000. */
  readonly users?: number;
  /** The users themselves, such as those who live in one unit. */
  readonly keys?: readonly string[];
}

/** One request to send, and again when the client retries. */
export interface Drawn {
  readonly of: LoadClass;
  readonly headers: Readonly<Record<string, string>>;
}

const USERS = 1_000;

export class Mix {
  readonly classes: readonly LoadClass[];
  readonly #random: Random;
  readonly #total: number;

  /** @throws RangeError when there is nothing to draw from */
  constructor(classes: readonly LoadClass[], random: Random) {
    this.#total = classes.reduce((sum, { share }) => sum + share, 0);
    if (!(this.#total > 0)) throw new RangeError("a mix needs a class with a share above 0");
    this.classes = classes;
    this.#random = random;
  }

  next(): Drawn {
    const of = this.#class();
    const { name, users = USERS, keys } = of;
    const chance = this.#random.next();
    const user =
      keys === undefined ? `${name}-${Math.floor(chance * users)}` : keys[Math.floor(chance * keys.length)]!;
    return { of, headers: { ...of.headers, "x-user-id": user } };
  }

  #class(): LoadClass {
    let left = this.#random.next() * this.#total;
    for (const one of this.classes) {
      left -= one.share;
      if (left < 0) return one;
    }
    return this.classes.at(-1)!; // The rounding of the sum.
  }
}
