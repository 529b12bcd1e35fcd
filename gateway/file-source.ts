/** A directory of YAML, read again when one of its files changes. */
import { isAbsolute, join, resolve } from "node:path";
import type { Logger } from "pino";
import { type ConfigDir, readConfigDir } from "../host/config-dir.ts";
import { FileWatch } from "../host/file-watch.ts";
import { formatProblem } from "../model/problem.ts";
import { InvalidConfig, type Source, type Sourced, type SourceHooks } from "./source.ts";

export class FileSource implements Source {
  readonly where: string;
  readonly #log: Logger;
  readonly #watch: FileWatch;
  #hooks: SourceHooks | undefined;
  #revision = 1;

  constructor(dir: string, log: Logger) {
    this.where = dir;
    this.#log = log;
    this.#watch = new FileWatch(() => this.reload());
  }

  async first(): Promise<Sourced> {
    const { config, problems } = this.#read();
    if (config === undefined) throw new InvalidConfig(problems);
    return { config, epoch: 0, revision: this.#revision, now: 0 };
  }

  start(hooks: SourceHooks): void {
    this.#hooks = hooks;
  }

  reload(): void {
    const hooks = this.#hooks;
    if (hooks === undefined) return;
    const { config, problems } = this.#read();
    if (config === undefined) {
      hooks.refused(problems.filter((p) => p.severity === "error").map(formatProblem));
      return;
    }
    const refused = hooks.use({ config, epoch: 0, revision: this.#revision + 1, now: 0 });
    if (refused.length === 0) this.#revision++;
  }

  served(): void {}

  stop(): void {
    this.#watch.stop();
  }

  async end(): Promise<void> {}

  #read(): ConfigDir {
    const read = readConfigDir(this.where);
    const absolute = (file: string): string => (isAbsolute(file) ? file : resolve(join(this.where, file)));
    this.#watch.follow(read.files.map(absolute));
    if (read.config !== undefined) {
      for (const problem of read.problems)
        this.#log.warn({ problem: formatProblem(problem) }, "configuration warning");
    }
    return read;
  }
}
