/** What is kept of a plan's last rehearsal: what happened, and what it was made on. */
import { createHash } from "node:crypto";
import type { Config } from "../../model/config.ts";
import type { ProjectedUnit } from "../../model/projection.ts";
import type { Step } from "../../model/plan-step.ts";
import type { Tried } from "../runbook/execution.ts";
import { touched } from "../runbook/program.ts";

/** Document kind; its id is the plan's name. */
export const REHEARSAL = "rehearsal";

export interface RehearsedStep {
  readonly path: string;
  readonly title: string;
  readonly state: string;
  /** Milliseconds; undefined: it did not end. */
  readonly took: number | undefined;
  readonly says: string | undefined;
}

export type RehearsedUnit = Pick<ProjectedUnit, "unit" | "rps">;

export interface Rehearsal {
  readonly plan: string;
  /** `simulation`: nothing of the fleet was touched, an engine of its own ran it on a copy; `traffic`: for real, on few. */
  readonly manner: "simulation" | "traffic";
  /** Of traffic: whose. */
  readonly on?: string;
  readonly values: Readonly<Record<string, string>>;
  readonly at: number;
  readonly by: string;
  readonly reason: string;
  /** Of the execution; and of its revert, which has to leave nothing. */
  readonly outcome: string;
  readonly reverted: string;
  /** What broke, in one sentence. */
  readonly says: string | undefined;
  /** Milliseconds of the fleet's time. */
  readonly took: number;
  readonly steps: readonly RehearsedStep[];
  readonly before: readonly RehearsedUnit[];
  readonly after: readonly RehearsedUnit[];
  /** Of traffic: how those fared on whom it was rehearsed, while it held. */
  readonly tried?: Tried;
  readonly assumed: readonly string[];
  /** Of the plan, and of the parts of the configuration that its steps touch. */
  readonly digest: string;
}

/** Changes when the plan does, or what its steps touch: then the rehearsal says little. */
export function digestOfTouched(plan: object, steps: readonly Step[], config: Config): string {
  const { fleet, routes, limits } = config;
  const { fields, slots } = touched(steps, config);
  const lists: Readonly<Record<string, readonly { readonly name: string }[]>> = {
    units: fleet.units,
    services: fleet.services,
    breakers: fleet.services,
    routes,
    limits,
  };
  const parts = [...fields].map((field) => {
    const [list = "", name] = field.split(".");
    return lists[list]?.find((one) => one.name === name) ?? fleet.placement.pins;
  });
  // A drain or an overlay of the moment is no change of what was written.
  const map = slots.size === 0 ? [] : fleet.placement.map;
  const text = JSON.stringify([plan, [...new Set(parts)], map], (key, value: unknown) =>
    key === "drain" ? undefined : value,
  );
  return createHash("sha256").update(text).digest("hex");
}
