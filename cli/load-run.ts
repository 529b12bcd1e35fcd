/** Runs k6 where the command was typed, in step with the control plane: it ends when that says so, or is gone. */
import { findK6, NoK6 } from "../host/k6.ts";
import { type Played, playK6 } from "../host/k6-run.ts";
import type { RunFile } from "../model/load/run-file.ts";
import type { RunResult } from "../model/load/run-result.ts";
import { type ApiClient, ApiFailure, type Printer } from "./api-client.ts";

/** As the control plane registers it. */
export interface Registered {
  readonly run: RunState;
  readonly header: string;
  readonly mark: string;
}

export interface RunState {
  readonly id: string;
  readonly unit: string;
  readonly state: string;
  readonly says?: string;
  readonly endedBy?: string;
  readonly sample: {
    readonly at: number;
    readonly rps: number;
    readonly success: number | null;
    readonly p99: number | null;
    readonly users: Readonly<Record<string, { rps: number; success: number | null; p99: number | null }>>;
  } | null;
}

const BEAT = 500;
/** Without the control plane nobody watches users: the run ends by itself after this (ms). */
const ALONE = 8_000;

/** @throws ApiFailure that says how to get it */
export function k6Command(): string {
  try {
    return findK6({ env: process.env, say: (sentence) => process.stderr.write(`${sentence}\n`) });
  } catch (error) {
    if (error instanceof NoK6) throw new ApiFailure(error.message);
    throw error;
  }
}

/** Registered runs that live: told to go on or to end, and stopped where this process is. */
export class Watch {
  readonly #api: ApiClient;
  readonly #ids: readonly string[];
  readonly #timer: NodeJS.Timeout;
  readonly #onSignal: () => void;
  #heardAt = performance.now();
  #states = new Map<string, RunState>();
  #why: string | undefined;
  /** Called once, with the reason to stop. */
  onEnd: (why: string) => void = () => {};
  onState: (states: readonly RunState[]) => void = () => {};

  constructor(api: ApiClient, ids: readonly string[]) {
    this.#api = api;
    this.#ids = ids;
    this.#timer = setInterval(() => this.#beat(), BEAT);
    this.#onSignal = () => this.#end("interrupted where it was started");
    process.on("SIGINT", this.#onSignal);
    process.on("SIGTERM", this.#onSignal);
  }

  /** Why it has to end; undefined: it may go on. */
  get why(): string | undefined {
    return this.#why;
  }

  close(): void {
    clearInterval(this.#timer);
    process.off("SIGINT", this.#onSignal);
    process.off("SIGTERM", this.#onSignal);
  }

  #beat(): void {
    if (performance.now() - this.#heardAt > ALONE) {
      this.#end(`the control plane was not heard of for ${ALONE / 1_000} s, so nobody watches users`);
    }
    for (const id of this.#ids) {
      this.#api.call<RunState>("POST", `/v1/stress-runs/${id}/beat`).then(
        (state) => this.#heard(state),
        (error: unknown) => {
          // What is refused for good ends it; what does not answer is waited for.
          const status = error instanceof ApiFailure ? Number(error.problem?.status) : Number.NaN;
          if (status >= 400 && status < 500) this.#end((error as Error).message);
        },
      );
    }
  }

  #heard(state: RunState): void {
    this.#heardAt = performance.now();
    this.#states.set(state.id, state);
    this.onState([...this.#states.values()]);
    if (state.state === "running") return;
    const by = state.endedBy === undefined ? "" : ` by ${state.endedBy}`;
    this.#end(`${state.id} was ${state.state}${by}: ${state.says ?? ""}`);
  }

  #end(why: string): void {
    if (this.#why !== undefined) return;
    this.#why = why;
    this.onEnd(why);
  }
}

/** One k6 run by a run file, which ends early when the watch says so. @param out where results go; undefined: nowhere */
export function play(
  command: string,
  file: Omit<RunFile, "json" | "html">,
  watch: Watch,
  out: { readonly dir: string; readonly name: string } | undefined,
): Promise<Played> {
  return playK6(command, file, {
    out,
    env: process.env,
    onStart: (k6) => {
      watch.onEnd = () => void k6.stop();
      if (watch.why !== undefined) void k6.stop();
    },
  });
}

/** Progress at the terminal, on one line. */
export function progressText(states: readonly RunState[]): string {
  return states
    .map(({ id, unit, sample }) => {
      if (sample === null) return `${id} ${unit}: begins`;
      const users = Object.entries(sample.users).map(
        ([name, { rps, success, p99 }]) => `users of ${name} ${rps}/s ${share(success)} p99 ${time(p99)}`,
      );
      return `${id} ${unit}: ${sample.rps}/s ${share(sample.success)} p99 ${time(sample.p99)}; ${users.join(", ")}`;
    })
    .join(" | ");
}

export function share(value: number | null): string {
  return value === null ? "–" : `${Number((value * 100).toFixed(2))} %`;
}

export function time(value: number | null): string {
  return value === null ? "–" : `${value.toFixed(0)} ms`;
}

/** @throws ApiFailure where k6 did not do what it was started for */
export function resultOf({ result, ended }: Played, print: Printer): RunResult {
  if (result !== undefined) return result;
  print.endProgress();
  const words = ended.stderr.trim().split("\n").slice(-3).join("\n");
  throw new ApiFailure(`k6 ended with ${ended.code ?? "a signal"} and counted nothing: ${words}`);
}
