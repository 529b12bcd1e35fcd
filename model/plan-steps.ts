/** Written steps → steps: parameters filled in, every field read, and nothing left over. */
import { VERSIONS } from "./fleet.ts";
import { LIMIT_MODES } from "./limit.ts";
import { STEP_KINDS, type StepKind, type WrittenStep } from "./plan.ts";
import type { HookCall, Step } from "./plan-step.ts";
import { StepFields, type StepReport } from "./step-fields.ts";

const MOVING = ["batch", "pause", "hold", "catch-up", "timeout", "retries"];
/** What each kind may say beside itself and `name`. */
const BESIDE: Readonly<Record<StepKind, readonly string[]>> = {
  drain: ["ramp", "deadline"],
  undrain: [],
  evacuate: ["to", ...MOVING],
  move: ["to", ...MOVING],
  fence: ["hold"],
  unfence: [],
  limit: ["rate", "scale", "burst", "mode"],
  degrade: [],
  breaker: ["unit", "state"],
  weight: ["share"],
  pin: ["unit"],
  mirror: ["service", "version", "share", "writes"],
  gate: ["window", "samples", "holds", "timeout"],
  wait: [],
  approve: ["count", "timeout"],
  notify: [],
  hook: ["body", "timeout", "retries"],
  parallel: [],
  if: ["window", "then", "else"],
};
/** What must be said, too. */
const NEEDED: Partial<Readonly<Record<StepKind, readonly string[]>>> = {
  move: ["to"],
  breaker: ["unit", "state"],
  weight: ["share"],
  pin: ["unit"],
  mirror: ["service", "share"],
  if: ["then"],
};
/** Longer lists of steps, and deeper ones, are programs. */
export const MOST_STEPS = 200;
const WINDOWS = ["10s", "1m", "10m", "1h"] as const;
const SECOND = 1_000;
const MINUTE = 60_000;

/** What is left out could not be read, and was reported. */
export function readSteps(
  written: readonly WrittenStep[],
  values: ReadonlyMap<string, string>,
  report: StepReport,
  prefix = "",
): Step[] {
  return written.flatMap((step, i) => readStep(step, `${prefix}${i + 1}`, values, report) ?? []);
}

function readStep(
  written: WrittenStep,
  path: string,
  values: ReadonlyMap<string, string>,
  report: StepReport,
): Step | undefined {
  const kinds = STEP_KINDS.filter((kind) => written[kind] !== undefined);
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1) {
    const does = kinds.length === 0 ? "does nothing" : `does ${kinds.join(" and ")} at once`;
    report(
      written,
      kinds[1] ?? "",
      "step-kind",
      `the step ${does}; expected one of ${STEP_KINDS.join(", ")}`,
    );
    return undefined;
  }
  const fields = new StepFields(written, values, report);
  for (const field of Object.keys(written)) {
    if (field === kind || field === "name" || BESIDE[kind].includes(field)) continue;
    const expected = ["name", ...BESIDE[kind]].join(", ");
    fields.problem(field, "unused-field", `\`${field}\` does not belong to ${kind}; expected ${expected}`);
  }
  for (const field of NEEDED[kind] ?? []) {
    if (!fields.has(field)) fields.problem(kind, "missing-field", `${kind} needs \`${field}\``);
  }
  const named = fields.text("name");
  const body = bodyOf(kind, written, fields, (steps, part) =>
    readSteps(steps, values, report, `${path}.${part}`),
  );
  return { path, title: named === "" ? titleOf(kind, fields) : named, ...body } as Step;
}

function titleOf(kind: StepKind, fields: StepFields): string {
  return kind === "parallel" ? "in parallel" : `${kind} ${fields.text(kind)}`.trim();
}

function bodyOf(
  kind: StepKind,
  written: WrittenStep,
  fields: StepFields,
  inner: (steps: readonly WrittenStep[], part: string) => Step[],
): object {
  switch (kind) {
    case "drain": {
      const [ramp, deadline] = [
        fields.duration("ramp", 10 * SECOND),
        fields.duration("deadline", 5 * MINUTE),
      ];
      return { kind, units: names(fields, kind), ramp, deadline };
    }
    case "undrain":
      return { kind, units: names(fields, kind) };
    case "evacuate":
      return { kind, unit: fields.text(kind), to: fields.names("to"), ...movingOf(fields) };
    case "move":
      return { kind, slots: fields.slots(kind), to: fields.names("to"), ...movingOf(fields) };
    case "fence":
      return { kind, slots: fields.slots(kind), hold: holdOf(fields) };
    case "unfence":
      return { kind, slots: fields.slots(kind) };
    case "limit": {
      if (!["rate", "scale", "burst", "mode"].some((field) => fields.has(field))) {
        fields.problem(kind, "missing-field", "limit needs rate, scale, burst or mode");
      }
      if (fields.has("rate") && fields.has("scale")) {
        fields.problem("scale", "unused-field", "`scale` and `rate` both say the rate; expected one of them");
      }
      const [rate, scale] = [fields.rate("rate", undefined), fields.share("scale", undefined, 1000)];
      const burst = fields.count("burst", undefined, 1, 1e9);
      const mode = fields.has("mode") ? fields.word("mode", LIMIT_MODES, "enforce") : undefined;
      return { kind, limits: names(fields, kind), rate, scale, burst, mode };
    }
    case "degrade":
      return { kind, routes: names(fields, kind) };
    case "breaker": {
      const state = fields.word("state", ["open", "closed"], "open");
      return { kind, service: fields.text(kind), unit: fields.text("unit"), state };
    }
    case "weight":
      return { kind, service: fields.text(kind), share: fields.share("share", 0) };
    case "pin":
      return { kind, key: fields.text(kind), unit: fields.text("unit") };
    case "mirror": {
      const [service, version] = [fields.text("service"), fields.word("version", VERSIONS, "stable")];
      const [share, writes] = [fields.share("share", 0), fields.flag("writes")];
      return { kind, route: fields.text(kind), service, version, share, writes };
    }
    case "gate":
      return {
        kind,
        condition: fields.expression(kind),
        window: fields.word("window", WINDOWS, "10s"),
        samples: fields.count("samples", 1, 0, 1e9),
        holds: fields.duration("holds", 0),
        timeout: fields.duration("timeout", 5 * MINUTE),
      };
    case "wait":
      return { kind, milliseconds: fields.duration(kind, 0) };
    case "approve": {
      const role = fields.word(kind, ["operator", "approver", "admin"], "approver");
      const [count, timeout] = [fields.count("count", 1, 1, 10), fields.duration("timeout", 60 * MINUTE)];
      return { kind, role, count, timeout };
    }
    case "notify":
      return { kind, text: fields.text(kind) };
    case "hook":
      return { kind, call: callOf(fields, kind) };
    case "parallel":
      return { kind, steps: inner(stepsOf(written, kind), "") };
    case "if":
      return {
        kind,
        condition: fields.expression(kind),
        window: fields.word("window", WINDOWS, "10s"),
        yes: inner(stepsOf(written, "then"), "then."),
        no: inner(stepsOf(written, "else"), "else."),
      };
  }
}

function names(fields: StepFields, kind: StepKind): string[] {
  const given = fields.names(kind);
  if (given.length === 0) fields.problem(kind, "invalid-value", `${kind} names nothing`);
  return given;
}

function stepsOf(written: WrittenStep, field: string): readonly WrittenStep[] {
  const steps = written[field];
  return typeof steps === "object" ? steps : [];
}

function holdOf(fields: StepFields): number {
  return fields.duration("hold", 2 * SECOND, 30 * SECOND);
}

function movingOf(fields: StepFields): object {
  return {
    batch: fields.count("batch", 128, 1, 65_536),
    pause: fields.duration("pause", 0, 60 * MINUTE),
    hold: holdOf(fields),
    catchUp: fields.has("catch-up") ? callOf(fields, "catch-up") : undefined,
  };
}

function callOf(fields: StepFields, field: string): HookCall {
  const url = fields.text(field);
  if (!URL.canParse(url) || !/^https?:\/\//.test(url)) {
    fields.problem(
      field,
      "invalid-url",
      `\`${url}\` is no address; expected one such as https://ops.example/hook`,
    );
  }
  const body = fields.has("body") ? fields.text("body") : undefined;
  if (body !== undefined && !isJson(body)) {
    fields.problem("body", "invalid-value", "the body is no JSON; expected a text such as '{\"go\": true}'");
  }
  const timeout = fields.duration("timeout", 10 * SECOND, 10 * MINUTE);
  return { url, body, timeout, retries: fields.count("retries", 2, 0, 10) };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
