/** `tidegate control-plane`: the place where the fleet is changed. */
import type { Command } from "commander";
import type { ControlPlaneFlags } from "../control-plane/main.ts";

export function registerControlPlane(program: Command): void {
  program
    .command("control-plane")
    .description("run the control plane, which gateways follow")
    .option(
      "--config <dir>",
      "the first configuration, when the store has none yet; afterwards: tidegate apply",
    )
    .option("--data <dir>", "where it keeps everything", "tidegate-data")
    .option("--port <n>", "port of the API; 0 lets the system choose", "8090")
    .option("--host <address>", "address of the API", "127.0.0.1")
    .option("--signing-key <file>", "Ed25519 private key, PEM, that signs snapshots; default: made in --data")
    .option("--dev", "loopback only: no token is asked for")
    .addHelpText(
      "after",
      `
The first start leaves an admin token in DATA/admin.token and the key that gateways check with in DATA/snapshot-key.pem.

Examples:
  tidegate control-plane --config configs/demo --dev
  tidegate control-plane --config /etc/tidegate --data /var/lib/tidegate --host 10.0.0.5`,
    )
    .action(async (flags: ControlPlaneFlags) => {
      const { runControlPlane } = await import("../control-plane/main.ts");
      process.exitCode = await runControlPlane(flags);
    });
}
