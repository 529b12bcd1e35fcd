/** The show: traffic runs, the gateway's metrics are read, deeds are done, and a state to look at comes out. */
import type { Clock, Random } from "../../model/clock.ts";
import { Chronicle } from "./chronicle.ts";
import type { Action, Flags } from "./flags.ts";
import { type Asked, commandOf } from "./keys.ts";
import { parseMetrics } from "./metrics.ts";
import type { EndpointProcess } from "./processes.ts";
import type { Stage } from "./stage.ts";
import { Traffic } from "./traffic.ts";
import { complaints } from "./verdict.ts";
import { conditionOf, type DemoEvent, type DemoState, type UnitState } from "./view.ts";
import { Window } from "./window.ts";

const WINDOW_MS = 10_000;
/** The view and the metrics, four times a second. */
const TICK_MS = 250;

export interface DemoOptions {
  readonly flags: Flags;
  readonly stage: Stage;
  readonly clock: Clock;
  readonly random: Random;
  readonly tell: (event: DemoEvent) => void;
  /** Called with each new state. */
  readonly show: (state: Omit<DemoState, "columns" | "rows" | "color">) => void;
}

export class Demo {
  readonly #options: DemoOptions;
  readonly #traffic: Traffic;
  readonly #window = new Window(WINDOW_MS);
  readonly #chronicle: Chronicle;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #finish = Promise.withResolvers<void>();
  #asked: Asked | undefined;
  #scraping = false;

  constructor(options: DemoOptions) {
    const { flags, stage, clock, random, tell } = options;
    this.#options = options;
    this.#traffic = new Traffic({ port: stage.plan.port, rate: flags.rate, clock, random });
    this.#chronicle = new Chronicle(clock, stage.plan.units, tell);
  }

  /** Resolves when the time is over, `q` was pressed, or `finish` was called. */
  async run(): Promise<void> {
    const { seconds, script } = this.#options.flags;
    this.#chronicle.write(`traffic begins: ${this.#options.flags.rate} requests a second`);
    this.#traffic.start();
    this.#timers.push(setInterval(() => void this.#tick(), TICK_MS));
    for (const { action, target, at } of script) {
      this.#timers.push(setTimeout(() => void this.act(action, target), at * 1000));
    }
    if (seconds !== undefined) this.#timers.push(setTimeout(() => this.finish(), seconds * 1000));
    await this.#finish.promise;
    for (const timer of this.#timers) clearTimeout(timer);
  }

  finish(): void {
    this.#finish.resolve();
  }

  /** Waits for the answers still due, then says what went wrong, a sentence each. */
  async judge(): Promise<readonly string[]> {
    await this.#traffic.stop();
    await this.#scrape();
    const { units } = this.#figures();
    return complaints({
      served: new Map([...units].map(([unit, { total }]) => [unit, total])),
      failures: this.#traffic.failures,
      refusedWrites: this.#traffic.refusedWrites,
      deeds: this.#chronicle.deeds,
    });
  }

  abandon(): void {
    this.#traffic.abandon();
  }

  press(key: string): void {
    const command = commandOf(key, this.#asked, this.#options.stage.plan.units);
    this.#asked = command.do === "ask" ? command.what : undefined;
    if (command.do === "quit") this.finish();
    else if (command.do === "toggle-kill") {
      const lives = this.#targets(command.target).some(({ condition }) => condition !== "killed");
      void this.act(lives ? "kill" : "revive", command.target);
    } else if (command.do === "toggle-hang") {
      const hung = this.#targets(command.target).some(({ condition }) => condition === "hung");
      void this.act(hung ? "resume" : "hang", command.target);
    } else if (command.do === "release") {
      void this.act("release", command.target);
    } else if (command.do === "toggle-slow") {
      const slow = this.#targets(command.target).some(({ condition }) => condition === "slow");
      void this.act(slow ? "restore" : "slow", command.target);
    }
    this.#show();
  }

  /** @param target a unit's name or an endpoint's letter; of a release, `good` or `bad` */
  async act(action: Action, target: string): Promise<void> {
    if (action === "release") return await this.#release(target);
    const endpoints = this.#targets(target);
    if (endpoints.length === 0) {
      this.#chronicle.write(`there is no unit or endpoint "${target}"`, "bad");
      return;
    }
    try {
      if (action === "revive") await Promise.all(endpoints.map((endpoint) => endpoint.start()));
      else if (action === "slow" || action === "restore") {
        await Promise.all(endpoints.map((endpoint) => endpoint[action]()));
      } else for (const endpoint of endpoints) endpoint[action]();
      this.#chronicle.deed(action, target);
    } catch (error) {
      this.#chronicle.write(`${target}: not done: ${(error as Error).message}`, "bad");
    }
  }

  async #release(target: string): Promise<void> {
    try {
      await this.#options.stage.release(target);
      this.#chronicle.deed("release", target);
    } catch (error) {
      this.#chronicle.write(`no release: ${(error as Error).message}`, "bad");
    }
  }

  /** A process ended by itself. */
  mourn(unit: string, port: number): void {
    this.#chronicle.write(`a process of ${unit} (:${port}) ended by itself`, "bad");
  }

  summary(): string {
    const { sent, answered, refusedWrites, failed } = this.#traffic.figures();
    return `${sent} requests sent, ${answered} answered, ${refusedWrites} writes refused, ${failed} failed.`;
  }

  #targets(target: string): readonly EndpointProcess[] {
    const { endpoints } = this.#options.stage;
    const ofUnit = endpoints.filter(({ endpoint }) => endpoint.unit === target);
    return ofUnit.length > 0 ? ofUnit : endpoints.filter(({ endpoint }) => endpoint.letter === target);
  }

  async #tick(): Promise<void> {
    await this.#scrape();
    this.#show();
  }

  async #scrape(): Promise<void> {
    if (this.#scraping) return;
    this.#scraping = true;
    const text = await this.#options.stage.gateway.metrics();
    this.#scraping = false;
    if (text === undefined) return;
    this.#window.add({ at: this.#options.clock.now(), samples: parseMetrics(text) });
    this.#chronicle.observe(this.#figures());
  }

  #figures() {
    return this.#window.figures(this.#options.stage.plan.units.map(({ name }) => name));
  }

  /** What the buttons show. */
  get units(): readonly { readonly name: string; readonly condition: string }[] {
    const { plan } = this.#options.stage;
    return plan.units.map(({ name }) => ({ name, condition: conditionOf(this.#targets(name)) }));
  }

  get events(): readonly DemoEvent[] {
    return this.#chronicle.events;
  }

  #show(): void {
    const { plan, endpoints } = this.#options.stage;
    const figures = this.#figures();
    const units = plan.units.map(
      ({ name, digit, center }): UnitState => ({
        name,
        digit,
        center,
        figures: figures.units.get(name)!,
        endpoints: endpoints
          .filter(({ endpoint }) => endpoint.unit === name)
          .map(({ condition, endpoint: { letter, port } }) => {
            return { letter, port, condition, healthy: figures.endpoints.get(port) };
          }),
      }),
    );
    this.#options.show({
      seconds: this.#chronicle.seconds,
      port: plan.port,
      adminPort: plan.adminPort,
      units,
      client: this.#traffic.figures(),
      failovers: figures.failovers,
      unserved: figures.unserved,
      events: this.#chronicle.events,
      asked: this.#asked,
    });
  }
}
