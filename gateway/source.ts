/** Where a gateway's configuration comes from: a directory, or a control plane. */
import type { Config } from "../model/config.ts";
import { formatProblem, type Problem } from "../model/problem.ts";
import type { Report } from "../model/report.ts";
import type { ErrorRing } from "./error-ring.ts";
import type { FigureSlices } from "./figure-slices.ts";

export interface Sourced {
  readonly config: Config;
  /** Leadership under which it was published; 0 where there is no control plane. */
  readonly epoch: number;
  readonly revision: number;
  /** Milliseconds since 1970, by the clock that drains are dated by, when this was handed over. */
  readonly now: number;
}

/** A report without what is served. */
export type Standpoint = Omit<Report, "epoch" | "revision">;

export interface SourceHooks {
  /** @returns why it was refused; nothing when it will be served */
  use(next: Sourced): readonly string[];
  /** What came could not even be read; the configuration before it serves on. */
  refused(problems: readonly string[]): void;
  /** What to say of how things stand. */
  report(): Standpoint;
  /** The control plane wants to hear so often (ms) what is counted. */
  pace(milliseconds: number): void;
  /** What was counted. */
  readonly figures: FigureSlices;
  /** What went wrong of late. */
  readonly errors: ErrorRing;
}

export interface Source {
  /** For people. */
  readonly where: string;
  /** What to begin with. @throws InvalidConfig · Error when nothing can be had */
  first(): Promise<Sourced>;
  /** From now on every other configuration is handed over. */
  start(hooks: SourceHooks): void;
  /** Looks again now. */
  reload(): void;
  /** The threads serve a revision that was handed over. */
  served(next: Sourced): void;
  /** Nothing more is handed over. */
  stop(): void;
  /** The last request was served: what is left to say is said, for a moment at most. */
  end(): Promise<void>;
}

/** The configuration is invalid, and there is none to serve on with. */
export class InvalidConfig extends Error {
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join("\n"));
    this.problems = problems;
  }
}
