/**
 * Notices that files have changed, by looking at them.
 *
 * Polling sees what notifications miss: editors that write aside and rename, Kubernetes' swapped symlinks, network
 * file systems. A change is reported when two looks in a row agree, so that a file in the middle of a save is not.
 */
import { statSync } from "node:fs";

/** Milliseconds between two looks; a change is reported after one to two of them. */
export const LOOK_EVERY = 200;

export class FileWatch {
  readonly #onChange: () => void;
  #paths: readonly string[] = [];
  #applied = "";
  #seen = "";
  #timer: NodeJS.Timeout | undefined;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /**
   * Follows these files, missing ones too, from how they are now. Following the same files again changes nothing, so
   * that a change between a reading and this call is not lost.
   */
  follow(paths: readonly string[]): void {
    if (paths.join("\0") === this.#paths.join("\0")) return;
    // What was followed before keeps its state, so that a save between the reading and this call is seen.
    const before = new Map(this.#paths.map((path, i) => [path, this.#applied.split(";")[i]]));
    this.#paths = paths;
    const now = this.#fingerprint().split(";");
    this.#applied = paths.map((path, i) => `${before.get(path) ?? now[i]};`).join("");
    this.#seen = this.#applied;
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = this.#fingerprint();
    const stable = now === this.#seen;
    this.#seen = now;
    if (!stable || now === this.#applied) return;
    this.#applied = now;
    this.#onChange();
  }

  #fingerprint(): string {
    let text = "";
    for (const path of this.#paths) {
      const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
      text += stat === undefined ? "-;" : `${stat.ino},${stat.size},${stat.mtimeNs},${stat.ctimeNs};`;
    }
    return text;
  }
}
