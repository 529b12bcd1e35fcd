/** `tidegate control-plane`: the place where the fleet is changed. */
import { type Command, Option } from "commander";
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
    .option("--database <url>", "PostgreSQL, which several control planes share; or TIDEGATE_DATABASE")
    .option("--port <n>", "port of the API; 0 lets the system choose", "8090")
    .option("--host <address>", "address of the API", "127.0.0.1")
    .option("--signing-key <file>", "Ed25519 private key, PEM, that signs snapshots; default: made in --data")
    .option("--dev", "loopback only: no token is asked for")
    .option("--tls-cert <file>", "certificate chain of the API, PEM; read again when it changes")
    .option("--tls-key <file>", "its private key, PEM")
    .option("--tls-client-ca <file>", "who signs gateways' certificates, PEM: such a gateway needs no token")
    .option("--insecure-http", "no TLS, though --host is not loopback: tokens travel in the clear")
    .option("--oidc-issuer <url>", "identity provider whose tokens are taken too")
    .option("--oidc-audience <text>", "whom its tokens must be for")
    .option(
      "--oidc-role-claim <name>",
      "claim that roles come from (default: groups); a path: realm_access.roles",
    )
    .option(
      "--oidc-client-id <id>",
      "as which the console is known there: people sign in from its page. TIDEGATE_OIDC_CLIENT_SECRET, if it has one",
    )
    .option(
      "--oidc-redirect-url <url>",
      "where browsers come back to, if they do not call this one as it is called",
    )
    .addOption(
      new Option("--oidc-role <role=value>", "which value of the claim has which role; repeat it").argParser(
        (text: string, before: string[] | undefined) => [...(before ?? []), text],
      ),
    )
    .addOption(
      new Option(
        "--hook-host <host>",
        "a host, with its port if it is named, that plans and alerts may call; repeat it. TIDEGATE_HOOK_SECRET signs plans' calls",
      ).argParser((text: string, before: string[] | undefined) => [...(before ?? []), text]),
    )
    .option(
      "--prometheus <url>",
      "whom rollouts ask for metrics of your own; TIDEGATE_PROMETHEUS_TOKEN is sent as a bearer token",
    )
    .option("--reset-admin-token", "make an admin token for who lost theirs, in DATA/admin.token, and end")
    .addHelpText(
      "after",
      `
The first start leaves an admin token in DATA/admin.token and the key that gateways check with in DATA/snapshot-key.pem.

Examples:
  tidegate control-plane --config configs/demo --dev
  tidegate control-plane --config /etc/tidegate --data /var/lib/tidegate --host 10.0.0.5 \\
    --tls-cert cert.pem --tls-key key.pem --tls-client-ca gateways-ca.pem
  tidegate control-plane --database postgres://tidegate@db/tidegate --signing-key signing-key.pem
  tidegate control-plane --data /var/lib/tidegate --oidc-issuer https://login.example.com --oidc-audience tidegate \\
    --oidc-role operator=sre --oidc-role admin=platform-admins
  tidegate control-plane --data /var/lib/tidegate --reset-admin-token`,
    )
    .action(async (flags: ControlPlaneFlags) => {
      const { runControlPlane } = await import("../control-plane/main.ts");
      process.exitCode = await runControlPlane(flags);
    });
}
