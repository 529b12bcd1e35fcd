/** One value that others look at. */
import { useEffect, useState } from "preact/hooks";

export class Store<T> {
  #value: T;
  readonly #listeners = new Set<() => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const tell of [...this.#listeners]) tell();
  }

  listen(tell: () => void): () => void {
    this.#listeners.add(tell);
    return () => this.#listeners.delete(tell);
  }
}

/** @param select what of it is looked at; the component is drawn again when that is another */
export function useStore<T, S = T>(store: Store<T>, select: (value: T) => S = (value) => value as never): S {
  const seen = select(store.value);
  const [, draw] = useState<unknown>(undefined);
  useEffect(() => {
    let last = seen;
    const look = (): void => {
      const next = select(store.value);
      if (Object.is(next, last)) return;
      last = next;
      draw({});
    };
    look();
    return store.listen(look);
  }, [store]);
  return seen;
}
