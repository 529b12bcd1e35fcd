/** `tidegate top`: the fleet live in a terminal. */
import type { Command } from "commander";
import { createParser } from "eventsource-parser";
import type { FleetNow } from "../control-plane/fleet-now.ts";
import { Terminal } from "../host/terminal.ts";
import { type ApiClient, ApiFailure, type ApiOptions, type Printer, runApi, withApi } from "./api-client.ts";
import { paint } from "./tables.ts";
import { COURSE, type SortKey, type TopAlert, type TopExecution, topView } from "./top-view.ts";

/** What fires and what runs is asked for so often (ms). */
const ASK_EVERY = 2_000;
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 5_000;
/** Told once a second: after so long (ms) nobody knows. */
const SILENT = 4_000;
/** A file or a pipe takes lines of any length, and all of them. */
const WIDE = { columns: 200, rows: 10_000 };
const KEYS: Readonly<Record<string, SortKey>> = { w: "worst", r: "rate", n: "name" };
/** Of five hundred executions each. */
const MOST_PAGES = 20;

interface TopOptions extends ApiOptions {
  readonly once?: boolean;
}

export function registerTop(program: Command): void {
  withApi(program.command("top"))
    .description("the fleet live: units, what fires, and what runs; q quits")
    .option("--once", "one look, as text, and no more")
    .addHelpText("after", "\nWith --json one line for each second, as /v1/fleet/watch tells it.")
    .action((options: TopOptions) =>
      runApi(options, async (api, print) => {
        const top = new Top(api, print, options.once === true);
        try {
          await top.run();
        } finally {
          top.leave();
        }
      }),
    );
}

class Top {
  readonly #api: ApiClient;
  readonly #print: Printer;
  readonly #once: boolean;
  readonly #terminal: Terminal | undefined;
  #fleet: FleetNow | undefined;
  #heardAt = performance.now();
  #history = new Map<string, number[]>();
  #alerts: readonly TopAlert[] = [];
  #executions: readonly TopExecution[] = [];
  #lost: string | undefined;
  #sort: SortKey = "worst";
  #over = false;
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(api: ApiClient, print: Printer, once: boolean) {
    this.#api = api;
    this.#print = print;
    this.#once = once;
    const isScreen = process.stdout.isTTY && process.env.TERM !== "dumb" && !once && !print.json;
    this.#terminal = isScreen ? new Terminal(process.stdin, process.stdout) : undefined;
  }

  async run(): Promise<void> {
    await this.#ask();
    if (this.#terminal !== undefined) {
      process.on("exit", () => this.leave());
      for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
        process.once(signal, () => process.exit(0));
      this.#terminal.enter((key) => this.#press(key));
      this.#timers.push(setInterval(() => this.#draw(), 1_000));
    }
    this.#timers.push(setInterval(() => void this.#ask(), ASK_EVERY));
    let pause = FIRST_PAUSE;
    while (!this.#over) {
      try {
        for await (const fleet of this.#told()) {
          pause = FIRST_PAUSE;
          this.#see(fleet);
          if (this.#over) return;
        }
        throw new Error("the control plane ended the stream");
      } catch (error) {
        // What is refused stays refused; what is gone comes back.
        if (error instanceof ApiFailure && error.problem !== undefined) throw error;
        if (this.#once) throw error instanceof ApiFailure ? error : new ApiFailure((error as Error).message);
        this.#lost = `not live: ${(error as Error).message}`;
        this.#draw();
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = Math.min(LONGEST_PAUSE, pause * 2);
    }
  }

  leave(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#terminal?.leave();
  }

  async *#told(): AsyncIterable<FleetNow> {
    const heard: FleetNow[] = [];
    const parser = createParser({
      onEvent: ({ event, data }) => {
        if (event === "fleet") heard.push(JSON.parse(data) as FleetNow);
      },
    });
    for await (const text of this.#api.stream("/v1/fleet/watch")) {
      parser.feed(text);
      yield* heard.splice(0);
    }
  }

  #see(fleet: FleetNow): void {
    this.#fleet = fleet;
    this.#heardAt = performance.now();
    this.#lost = undefined;
    const history = new Map<string, number[]>();
    for (const { unit, rate } of fleet.units) {
      history.set(unit, [...(this.#history.get(unit) ?? []), rate ?? 0].slice(-COURSE));
    }
    this.#history = history;
    if (this.#print.json) this.#print.line(fleet, "");
    this.#draw();
    if (!this.#once) return;
    if (!this.#print.json) process.stdout.write(`${this.#text(WIDE)}\n`);
    this.#over = true;
  }

  /** Without these the units are worth seeing all the same. */
  async #ask(): Promise<void> {
    try {
      const [{ alerts }, running] = await Promise.all([
        this.#api.call<{ alerts: TopAlert[] }>("GET", "/v1/alerts"),
        this.#running(),
      ]);
      this.#alerts = alerts;
      this.#executions = running;
    } catch (error) {
      if (this.#fleet === undefined) throw error;
    }
  }

  async #running(): Promise<TopExecution[]> {
    const found: TopExecution[] = [];
    let next: string | undefined = "";
    for (let page = 0; next !== undefined && page < MOST_PAGES; page++) {
      const path: string = `/v1/executions?live=true&limit=500${next === "" ? "" : `&after=${next}`}`;
      const said: { executions: TopExecution[]; next?: string } = await this.#api.call("GET", path);
      found.push(...said.executions);
      next = said.next;
    }
    return found;
  }

  #press(key: string): void {
    if (key === "q" || key === "\u0003") process.exit(0);
    this.#sort = KEYS[key] ?? this.#sort;
    this.#draw();
  }

  #draw(): void {
    const { columns, rows } = this.#terminal ?? WIDE;
    if (this.#terminal !== undefined) this.#terminal.draw(this.#text({ columns, rows }));
    else if (!this.#once && !this.#print.json) process.stdout.write(`${this.#text(WIDE)}\n\n`);
  }

  #text(size: { readonly columns: number; readonly rows: number }): string {
    const silent = performance.now() - this.#heardAt;
    return topView({
      fleet: this.#fleet,
      history: this.#history,
      alerts: this.#alerts,
      executions: this.#executions,
      lost:
        this.#lost ?? (silent > SILENT ? `not live: silent for ${Math.round(silent / 1000)} s` : undefined),
      sort: this.#sort,
      ...size,
      paint,
    });
  }
}
