/** The terminal while the live view is on: a screen of its own, no cursor, keys as they are pressed. */
import type { ReadStream, WriteStream } from "node:tty";

const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"; // Alternate screen, hidden cursor, long lines cut.
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const BEGIN = "\x1b[?2026h\x1b[H"; // One frame at a time, where the terminal knows how.
const END = "\x1b[J\x1b[?2026l";

export class Terminal {
  readonly #input: ReadStream;
  readonly #output: WriteStream;
  #entered = false;

  constructor(input: ReadStream, output: WriteStream) {
    this.#input = input;
    this.#output = output;
  }

  enter(onKey: (key: string) => void): void {
    this.#entered = true;
    this.#output.write(ENTER);
    if (!this.#input.isTTY) return;
    this.#input.setRawMode(true);
    this.#input.setEncoding("utf8");
    this.#input.on("data", (text) => {
      for (const key of text.toString()) onKey(key);
    });
  }

  get columns(): number {
    return this.#output.columns;
  }

  get rows(): number {
    return this.#output.rows;
  }

  draw(text: string): void {
    const lines = text.split("\n").slice(0, this.rows);
    // Each line is cleared before it is written: after a full line the cursor still stands on its last character.
    this.#output.write(BEGIN + lines.map((line) => `\x1b[2K${line}`).join("\r\n") + END);
  }

  /** Safe to call twice, and from an exit handler. */
  leave(): void {
    if (!this.#entered) return;
    this.#entered = false;
    this.#output.write(LEAVE);
    if (!this.#input.isTTY) return;
    this.#input.setRawMode(false);
    this.#input.pause();
  }
}
