// Finds or builds the OpenTelemetry Collector that tests of tracing need. Runs on the project's own Node.
import { findCollector, NoCollector } from "../host/collector.ts";

try {
  findCollector(process.env, (sentence) => console.error(`tidegate: ${sentence}`));
} catch (error) {
  if (!(error instanceof NoCollector)) throw error;
  console.error(`tidegate: ${error.message}`);
  process.exitCode = 1;
}
