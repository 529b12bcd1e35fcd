/** A sample unit as a process: `node loadtest/unit/main.ts --unit hz --port 9101`. */
import { parseArgs } from "node:util";
import { createUnit } from "./app.ts";

const { values } = parseArgs({
  options: {
    unit: { type: "string", default: "hz" },
    version: { type: "string", default: "stable" },
    service: { type: "string", default: "hall" },
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: "9101" },
  },
});

/** For requests under way when the process is told to stop. */
const GRACE_MS = 5000;

// Monotonic, and close enough to the wall clock that another process can compare its own stamps with it.
const clock = { now: () => performance.timeOrigin + performance.now() };
const { unit: name, version, service } = values;
const unit = createUnit({ unit: name, version, service, clock });

let stopping = false;
async function stop(): Promise<void> {
  if (stopping) return;
  stopping = true;
  await unit.close(GRACE_MS);
  process.exit(0);
}

process.on("SIGTERM", stop);
process.on("SIGINT", stop);
// Started by a parent with a channel: its end is this unit's end, however it came.
process.on("disconnect", () => process.exit(0));

try {
  const port = await unit.listen(Number(values.port), values.host);
  console.log(`unit ${name} (${service} ${version}) is listening on http://${values.host}:${port}`);
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException;
  console.error(
    code === "EADDRINUSE"
      ? `Port ${values.port} is taken: end the process that listens on it, or choose another with --port.`
      : `The unit could not listen on port ${values.port}: ${message}`,
  );
  process.exit(1);
}
