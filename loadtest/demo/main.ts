/** `npm start`: three units, a gateway, a trickle of traffic, and a view of what it does. See docs/demo.md. */
import { seededRandom } from "../../model/clock.ts";
import { Demo } from "./demo.ts";
import { serveButtons } from "./buttons.ts";
import { type Flags, parseFlags, USAGE } from "./flags.ts";
import { planStage, Stage } from "./stage.ts";
import { Terminal } from "../../host/terminal.ts";
import { type DemoState, eventText, statusLine, view } from "./view.ts";

const SEED = 20_261_111;

process.exitCode = await main(process.argv.slice(2));
process.exit();

async function main(args: readonly string[]): Promise<number> {
  let flags: Flags;
  try {
    flags = parseFlags(args);
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`);
    return 2;
  }
  try {
    return await play(flags);
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  }
}

async function play(flags: Flags): Promise<number> {
  const { stdin, stdout } = process;
  const live = stdout.isTTY && process.env.TERM !== "dumb";
  const color = live && stdout.hasColors();
  const terminal = new Terminal(stdin, stdout);

  const plan = await planStage(flags);
  let demo: Demo | undefined;
  const stage = new Stage(plan, ({ unit, port }) => demo?.mourn(unit, port));
  process.on("exit", () => {
    stage.kill();
    terminal.leave();
  });
  let interrupted = false;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (demo === undefined || interrupted) process.exit(1);
      interrupted = true;
      demo.finish();
    });
  }

  console.log(`Starting ${stage.endpoints.length} unit processes, the control plane and the gateway …`);
  await stage.start();
  console.log(
    `gateway  http://127.0.0.1:${plan.port}  metrics on http://127.0.0.1:${plan.adminPort}/metrics\n` +
      `console  http://127.0.0.1:${plan.controlPort}  or in a terminal: npx tidegate status --control-plane http://127.0.0.1:${plan.controlPort}\n` +
      `buttons  http://127.0.0.1:${plan.buttonsPort}  kill a unit, make one slow, release a bad canary`,
  );

  let printedSecond = 0;
  const show = (state: Omit<DemoState, "columns" | "rows" | "color">) => {
    if (live) {
      terminal.draw(view({ ...state, columns: terminal.columns, rows: terminal.rows, color }));
    } else if (Math.floor(state.seconds) > printedSecond) {
      printedSecond = Math.floor(state.seconds);
      console.log(statusLine({ ...state, columns: 80, rows: 24, color: false }));
    }
  };
  demo = new Demo({
    flags,
    stage,
    clock: performance,
    random: seededRandom(SEED),
    tell: (event) => {
      if (!live) console.log(eventText(event));
    },
    show,
  });
  let gatewayEnded = false;
  void stage.gateway.exited.then(() => {
    gatewayEnded = true;
    demo.finish();
  });

  const buttons = await serveButtons({
    ...{ port: plan.buttonsPort, controlPort: plan.controlPort },
    units: () => demo.units,
    events: () => demo.events,
    act: (action, target) => demo.act(action, target),
  });
  if (live) terminal.enter((key) => demo.press(key));
  await demo.run();
  terminal.leave();
  await buttons.close();

  if (gatewayEnded) throw new Error(`The gateway ended by itself.\n${stage.gateway.words}`);
  const judged = flags.seconds !== undefined && !interrupted;
  const complaints = judged ? await demo.judge() : [];
  demo.abandon();
  console.log(demo.summary());
  for (const complaint of complaints) console.error(complaint);
  await stage.stop();
  return complaints.length === 0 ? 0 : 1;
}
