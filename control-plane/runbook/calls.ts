/** Calls to the user's systems that are under way, and their results until they are stored. */
import type { HookCall } from "../../model/plan-step.ts";
import type { Caller, HookResult } from "./hooks.ts";

export class Calls {
  readonly #hooks: Pick<Caller, "call">;
  readonly #wake: () => void;
  readonly #calls = new Map<string, HookResult | undefined>();

  /** @param wake called when a result has come */
  constructor(hooks: Pick<Caller, "call">, wake: () => void) {
    this.#hooks = hooks;
    this.#wake = wake;
  }

  /** The result of a call, once it is there; the same key is called once by this process. */
  result(key: string, call: HookCall, about: object): HookResult | undefined {
    if (this.#calls.has(key)) {
      const result = this.#calls.get(key);
      if (result !== undefined) this.#calls.delete(key);
      return result;
    }
    this.#calls.set(key, undefined);
    void this.#hooks.call(call, about, key).then((result) => {
      this.#calls.set(key, result);
      this.#wake();
    });
    return undefined;
  }

  /** What is left of an execution that ended; keys begin with its id. */
  forget(id: string): void {
    for (const [key, result] of this.#calls) {
      if (result !== undefined && key.startsWith(`${id}/`)) this.#calls.delete(key);
    }
  }
}
