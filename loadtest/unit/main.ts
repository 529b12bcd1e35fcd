/** A sample unit as a process: `node loadtest/unit/main.ts --unit hz --port 9101`. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { createUnit, type UnitOptions } from "./app.ts";

const { values } = parseArgs({
  options: {
    unit: { type: "string", default: "hz" },
    version: { type: "string", default: "stable" },
    service: { type: "string", default: "hall" },
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: "9101" },
    // Of a control plane that says which slots are its own, and the key that it signs with.
    "guard-by": { type: "string" },
    "snapshot-key": { type: "string" },
    state: { type: "string" },
    // A guarded unit's token.
    token: { type: "string" },
  },
});

/** For requests under way when the process is told to stop. */
const GRACE_MS = 5000;

// Monotonic, and close enough to the wall clock that another process can compare its own stamps with it.
const clock = { now: () => performance.timeOrigin + performance.now() };
const { unit: name, version, service } = values;
const unit = createUnit({ unit: name, version, service, clock, ...guard() });

function guard(): Pick<UnitOptions, "guard"> {
  const { "guard-by": url, "snapshot-key": keyFile, state, token } = values;
  if (url === undefined) return {};
  if (keyFile === undefined) {
    console.error("--guard-by needs --snapshot-key FILE, the control plane's snapshot-key.pem");
    process.exit(2);
  }
  const snapshotKey = readFileSync(keyFile, "utf8");
  const controlPlane = {
    ...{ urls: [url], name: `guard-${name}-${values.port}`, snapshotKey },
    ...(token === undefined ? {} : { token }),
  };
  return { guard: { controlPlane, ...(state === undefined ? {} : { state }) } };
}

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
