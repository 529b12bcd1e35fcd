/** Writes a file aside, flushed and renamed, so that a kill at any byte leaves the one before it. */
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** For its user alone to read. @throws when the disk does not take it */
export function replaceFile(file: string, text: string): void {
  const aside = `${file}.new`;
  const handle = openSync(aside, "w", 0o600);
  try {
    writeFileSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(aside, file);
  const dir = openSync(dirname(file), "r");
  try {
    fsyncSync(dir);
  } finally {
    closeSync(dir);
  }
}
