/** `tidegate gateway`: a gateway that follows the files of a directory, or a control plane. */
import type { Command } from "commander";

export function registerGateway(program: Command): void {
  program
    .command("gateway")
    .description("run a gateway that follows the files of a directory, or a control plane")
    .option("--config <dir>", "directory with fleet.yaml and routes.yaml (and gateway.yaml)")
    .option("--control-plane <url>", "follow this control plane (several: commas); or TIDEGATE_CONTROL_PLANE")
    .option("--state <dir>", "with --control-plane: where the last good snapshot is kept")
    .option(
      "--snapshot-key <file>",
      "with --control-plane: its public key, PEM, that snapshots are checked with",
    )
    .option("--control-plane-ca <file>", "who signed its certificate, PEM, where no public authority did")
    .option(
      "--client-cert <file>",
      "this gateway's certificate for the control plane, PEM: no token is needed",
    )
    .option("--client-key <file>", "its private key, PEM; both are read again when they change")
    .option(
      "--name <name>",
      "this gateway's name, in the control plane and in traces; default: host and port",
    )
    .option("--port <n>", "port for clients; 0 lets the system choose", "8080")
    .option("--host <address>", "address for clients", "0.0.0.0")
    .option("--admin-port <n>", "port for /healthz, /readyz, /metrics, /explain, /status", "9090")
    .option("--admin-host <address>", "address of the admin port", "127.0.0.1")
    .option("--threads <n>", "traffic threads on the one port", "1")
    .option("--region <name>", "region this gateway stands in; nearest routes begin there")
    .option("--tls-port <n>", "port for HTTPS with HTTP/2 and HTTP/1.1")
    .option("--tls-cert <file>", "certificate chain, PEM; read again when it changes")
    .option("--tls-key <file>", "private key, PEM")
    .option("--redis <url>", "Redis that shares fleet limits; or TIDEGATE_REDIS")
    .option(
      "--otlp <url>",
      "collector of spans: http://HOST:4318, or grpc://HOST:4317; https and grpcs too; or TIDEGATE_OTLP",
    )
    .option("--access-log <target>", "JSON access log: - (standard output), a file, or off", "-")
    .option("--lame-duck <duration>", "on SIGTERM, how long new connections are still served", "5s")
    .option("--grace <duration>", "how long requests under way may then take", "30s")
    .addHelpText(
      "after",
      `
Signals:
  SIGTERM, SIGINT   stop politely: not ready, lame duck, drain, exit; a second one ends at once
  SIGHUP            read the configuration again now

Examples:
  tidegate gateway --config configs/demo
  tidegate gateway --control-plane http://127.0.0.1:8090 --state state --snapshot-key tidegate-data/snapshot-key.pem
  tidegate gateway --config configs/demo --threads 2 --region shanghai --access-log off
  tidegate gateway --config configs/demo --tls-port 8443 --tls-cert cert.pem --tls-key key.pem`,
    )
    .action(async (options: Record<string, string>) => {
      const { runGateway } = await import("../gateway/main.ts");
      process.exitCode = await runGateway(options);
    });
}
