/** The `tidegate` command. One line per command; each file registers its own. */
import { createRequire } from "node:module";
import { Command } from "commander";
import { registerAlerts } from "./alerts.ts";
import { registerAudit, registerTokens } from "./audit.ts";
import { registerCapacity } from "./capacity.ts";
import { registerConfiguration } from "./configuration.ts";
import { registerControlPlane } from "./control-plane.ts";
import { registerExplain } from "./explain.ts";
import { registerErrors } from "./errors.ts";
import { registerFigures } from "./figures.ts";
import { registerForecast } from "./forecast.ts";
import { registerGateway } from "./gateway.ts";
import { registerOverlays } from "./overlays.ts";
import { registerOverrides } from "./overrides.ts";
import { registerPlans } from "./plans.ts";
import { registerReplay } from "./recording.ts";
import { registerRollouts } from "./rollouts.ts";
import { registerStatus } from "./status.ts";
import { registerStore } from "./store.ts";
import { registerStress } from "./stress.ts";
import { registerValidate } from "./validate.ts";
import { registerTop } from "./top.ts";
import { registerWatch } from "./watch.ts";

const { version } = createRequire(import.meta.url)("../package.json") as { version: string };

/** For people: 0 is done, 1 is "no", 2 is a mistake in the command line. */
const USAGE = 2;

const program = new Command()
  .name("tidegate")
  .description("A unit-level multi-region traffic gateway: each request goes to the unit that owns its user.")
  .version(version)
  // A command's own options are its own, also those that the command above it has.
  .enablePositionalOptions()
  .showSuggestionAfterError()
  .showHelpAfterError("(--help shows the commands and examples)")
  .addHelpText(
    "after",
    `
Begin here:
  tidegate validate configs/demo                                  check a directory of YAML
  tidegate explain --config configs/demo GET '/cart/1?uid=42'     say where a request goes, and why
  tidegate gateway --config configs/demo --port 8080              run a gateway that follows the files
  tidegate control-plane --config configs/demo --dev              run a control plane, to operate a fleet of gateways:
  tidegate status · figures · apply · diff · history · rollback · drain · undrain · overlay · override · stress · capacity · replay · audit · token · watch

A configuration is a directory: fleet.yaml says where traffic can go, routes.yaml what happens to a request,
gateway.yaml (optional) how the gateway protects itself. configs/demo explains the language line by line.
Each command has its own --help.`,
  );

registerValidate(program);
registerExplain(program);
registerGateway(program);
registerControlPlane(program);
registerPlans(program);
registerRollouts(program);
registerAlerts(program);
registerStatus(program);
registerFigures(program);
registerErrors(program);
registerConfiguration(program);
registerOverlays(program);
registerAudit(program);
registerTokens(program);
registerStore(program);
registerStress(program);
registerCapacity(program);
registerReplay(program);
registerForecast(program);
registerTop(program);
registerWatch(program);
registerOverrides(program);

// commander ends with 1 for a wrong command line, which here means "no" and not "what?".
exitWith(program);
await program.parseAsync();

function exitWith(command: Command): void {
  command.exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : USAGE));
  for (const child of command.commands) exitWith(child);
}
