/** Tables and times for people. */
import { styleText } from "node:util";
import Table from "cli-table3";

/** Colours that a pipe does not get. */
export function paint(colour: "red" | "green" | "yellow" | "dim" | "bold", text: string): string {
  return styleText(colour, text, { stream: process.stdout });
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const made = new Table({ head: [...head], style: { head: [], border: [] } });
  for (const row of rows) made.push([...row]);
  return made.toString();
}

/** Words of others, that must not write to a terminal. */
export function clean(text: string): string {
  return text.replace(/\p{Cc}|\p{Cf}/gu, "\uFFFD");
}

/** `3 m`, `2 h`: how long ago, or until then. */
export function span(milliseconds: number): string {
  const seconds = Math.max(0, milliseconds / 1000);
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3_600) return `${Math.round(seconds / 60)} m`;
  return seconds < 86_400 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} d`;
}

/** In the reader's zone, to the second. */
export function moment(at: number): string {
  const date = new Date(at);
  const two = (n: number): string => `${n}`.padStart(2, "0");
  return (
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  );
}

/** A value of a configuration on one line, and not for ever. */
export function brief(value: unknown): string {
  if (value === undefined) return "-";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
