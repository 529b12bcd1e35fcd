/** Everything that lives as long as the page, and the one place where it hangs together. */
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { Api, Problem } from "./api.ts";
import type { Ambient } from "./event-stream.ts";
import { Fleet } from "./fleet.ts";
import { Operations } from "./operations.ts";
import type { Preferences } from "./preferences.ts";
import { may, type Person, type Role } from "./shapes.ts";
import { Store } from "./store.ts";

/** `over`: there was a session, and what is on the screen stays until somebody is signed in again. */
export type Session =
  | { readonly state: "unknown" }
  | { readonly state: "none" }
  | { readonly state: "on"; readonly person: Person }
  | { readonly state: "over"; readonly person: Person };

export class Console {
  readonly api = new Api();
  readonly ambient: Ambient;
  readonly fleet: Fleet;
  readonly operations: Operations;
  readonly preferences: Preferences;
  readonly session = new Store<Session>({ state: "unknown" });
  /** Paths that the control plane has. */
  readonly paths = new Store<ReadonlySet<string>>(new Set());

  constructor(ambient: Ambient, preferences: Preferences) {
    this.ambient = ambient;
    this.preferences = preferences;
    this.fleet = new Fleet(this.api, ambient);
    this.operations = new Operations(this.api, ambient);
    this.api.onSignedOut = () => {
      const { value } = this.session;
      this.#rest();
      if (value.state === "on") this.session.set({ state: "over", person: value.person });
      else if (value.state === "unknown") this.session.set({ state: "none" });
    };
  }

  async begin(): Promise<void> {
    try {
      this.#enter(await this.api.get<Person>("/v1/session"));
    } catch (error) {
      // Told by the API already; of everything else somebody may see as soon as they try.
      if (!(error instanceof Problem)) throw error;
      this.session.set({ state: "none" });
    }
  }

  /** @throws Problem */
  async signIn(token: string): Promise<void> {
    this.#enter(await this.api.send<Person>("POST", "/v1/session", { body: { token } }));
  }

  async signOut(): Promise<void> {
    this.#rest();
    await this.api.send("DELETE", "/v1/session").catch(() => {});
    this.session.set({ state: "none" });
  }

  wake(): void {
    this.fleet.stream.wake();
    this.operations.stream.wake();
  }

  #enter(person: Person): void {
    this.session.set({ state: "on", person });
    this.fleet.stream.start();
    this.operations.start();
    void this.#readPaths();
  }

  #rest(): void {
    this.fleet.stream.stop();
    this.operations.stop();
  }

  async #readPaths(): Promise<void> {
    const { paths } = await this.api.get<{ paths: object }>("/openapi.json").catch(() => ({ paths: {} }));
    this.paths.set(new Set(Object.keys(paths)));
  }
}

export const ConsoleContext = createContext<Console>(undefined as never);

export function useConsole(): Console {
  return useContext(ConsoleContext);
}

/** Whether who is signed in may do what this role is needed for. */
export function useMay(needed: Role): boolean {
  const { session } = useConsole();
  const { value } = session;
  return (value.state === "on" || value.state === "over") && may(value.person.role, needed);
}
