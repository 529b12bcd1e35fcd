/** What is under way and what waits for somebody: executions and overrides, read anew when something happens. */
import type { Execution } from "../../runbook/execution.ts";
import type { Api } from "./api.ts";
import { type Ambient, EventStream } from "./event-stream.ts";
import type { ExecutionLine, Override } from "./shapes.ts";
import { Store } from "./store.ts";

/** The watch stream beats every five seconds. */
const SILENT = 15_000;
/** Events come in bunches: what they are about is read once (ms). */
const GATHER = 150;
/** Read anew without any event (ms). */
const ANEW = 15_000;
/** Pages of a hundred executions. */
const MOST_PAGES = 20;

export const LIVE = ["running", "paused", "held", "reverting"];

export class Operations {
  readonly executions = new Store<readonly ExecutionLine[]>([]);
  readonly details = new Store<ReadonlyMap<string, Execution>>(new Map());
  readonly overrides = new Store<readonly Override[]>([]);
  /** Rises with every event, and whenever everything has to be read anew. */
  readonly version = new Store(0);
  readonly stream: EventStream;
  readonly #api: Api;
  #timer: number | undefined;
  #anew: number | undefined;
  #reading = false;
  #again = false;

  constructor(api: Api, ambient: Ambient) {
    this.#api = api;
    this.stream = new EventStream({
      ...{ api, ambient, path: "/v1/watch", silent: SILENT },
      // What happened while nobody listened is in what is read now.
      onOpen: () => this.#gather(),
      onEvent: () => this.#gather(),
    });
  }

  start(): void {
    this.stream.start();
    window.clearInterval(this.#anew);
    this.#anew = window.setInterval(() => void this.read(), ANEW);
  }

  stop(): void {
    this.stream.stop();
    window.clearInterval(this.#anew);
    window.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #gather(): void {
    this.#timer ??= window.setTimeout(() => {
      this.#timer = undefined;
      this.version.set(this.version.value + 1);
      void this.read();
    }, GATHER);
  }

  /** What cannot be read stays as it was: the streams say that the control plane is away. */
  async read(): Promise<void> {
    if (this.#reading) {
      this.#again = true;
      return;
    }
    this.#reading = true;
    do {
      this.#again = false;
      await this.#readAll().catch(() => {});
    } while (this.#again);
    this.#reading = false;
  }

  async #readAll(): Promise<void> {
    const executions: ExecutionLine[] = [];
    let after = "";
    for (let page = 0; page < MOST_PAGES; page++) {
      const path = after === "" ? "/v1/executions" : `/v1/executions?after=${encodeURIComponent(after)}`;
      const answer = await this.#api.get<{ executions: ExecutionLine[]; next?: string }>(path);
      executions.push(...answer.executions);
      if (answer.next === undefined) break;
      after = answer.next;
    }
    executions.sort((a, b) => b.at - a.at);
    const live = executions.filter(({ state }) => LIVE.includes(state)).slice(0, 20);
    const details = await Promise.all(
      live.map(async ({ id }) => [id, await this.#api.get<Execution>(`/v1/executions/${id}`)] as const),
    );
    const { overrides } = await this.#api.get<{ overrides: Override[] }>("/v1/overrides");
    this.executions.set(executions);
    this.details.set(new Map(details));
    this.overrides.set(overrides);
  }
}
