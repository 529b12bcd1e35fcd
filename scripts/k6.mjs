// Finds k6, or builds it where Go is, so that what needs it later has it. Runs on the project's own Node.
import { findK6, NoK6 } from "../host/k6.ts";

try {
  findK6({ env: process.env, say: (sentence) => console.error(`tidegate: ${sentence}`) });
} catch (error) {
  if (!(error instanceof NoK6)) throw error;
  console.error(`tidegate: ${error.message}`);
  process.exitCode = 1;
}
