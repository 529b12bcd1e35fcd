/** What the demo was told on its command line. */
import { parseArgs } from "node:util";

export const ACTIONS = ["kill", "revive", "hang", "resume", "slow", "restore", "release"] as const;
export type Action = (typeof ACTIONS)[number];

export interface Step {
  readonly action: Action;
  /** A unit's name, or an endpoint's letter; of a release, whether the canary is `good` or `bad`. */
  readonly target: string;
  /** Seconds after traffic began. */
  readonly at: number;
}

export interface Flags {
  readonly config: string;
  /** 0 takes a free one; so do the others. */
  readonly port: number;
  readonly adminPort: number;
  readonly controlPort: number;
  /** Of the page with buttons. */
  readonly buttonsPort: number;
  /** First of consecutive ports for the sample units; undefined uses the configuration's own. */
  readonly unitPortsFrom: number | undefined;
  /** Requests per second. */
  readonly rate: number;
  /** Stops by itself after this many seconds of traffic; undefined runs until `q`. */
  readonly seconds: number | undefined;
  readonly script: readonly Step[];
}

export const USAGE = `Usage: npm start -- [--port 8080] [--admin-port 9090] [--control-port 8090] [--buttons-port 8070]
                    [--unit-ports-from N] [--rate 60] [--seconds N] [--script kill:hz@5,revive:hz@12] [--config configs/demo]`;

/** @throws Error whose message is one sentence about the offending flag */
export function parseFlags(args: readonly string[]): Flags {
  const { values } = parseArgs({
    args: [...args],
    options: {
      config: { type: "string", default: "configs/demo" },
      port: { type: "string", default: "8080" },
      "admin-port": { type: "string", default: "9090" },
      "control-port": { type: "string", default: "8090" },
      "buttons-port": { type: "string", default: "8070" },
      "unit-ports-from": { type: "string" },
      rate: { type: "string", default: "60" },
      seconds: { type: "string" },
      script: { type: "string", default: "" },
    },
  });
  const from = values["unit-ports-from"];
  return {
    config: values.config,
    port: number("--port", values.port, 0, 65_535),
    adminPort: number("--admin-port", values["admin-port"], 0, 65_535),
    controlPort: number("--control-port", values["control-port"], 0, 65_535),
    buttonsPort: number("--buttons-port", values["buttons-port"], 0, 65_535),
    unitPortsFrom: from === undefined ? undefined : number("--unit-ports-from", from, 0, 65_000),
    rate: number("--rate", values.rate, 1, 2000),
    seconds: values.seconds === undefined ? undefined : number("--seconds", values.seconds, 1, 86_400),
    script: parseScript(values.script),
  };
}

function number(flag: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (text !== "" && value >= low && value <= high) return value;
  throw new Error(`${flag} is "${text}"; expected a number from ${low} to ${high}.`);
}

/** `kill:hz@5,revive:hz@12` → steps in the order of their time. */
export function parseScript(text: string): readonly Step[] {
  if (text === "") return [];
  const steps = text.split(",").map((part): Step => {
    const match = /^(\w+):([\w-]+)@(\d+(?:\.\d+)?)$/.exec(part.trim());
    const action = ACTIONS.find((name) => name === match?.[1]);
    if (match === null || action === undefined) {
      throw new Error(`--script has "${part}"; expected ACTION:TARGET@SECONDS with ${ACTIONS.join(", ")}.`);
    }
    return { action, target: match[2]!, at: Number(match[3]) };
  });
  return steps.sort((a, b) => a.at - b.at);
}
