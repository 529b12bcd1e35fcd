/** The shape of `plans/*.yaml`. */
import Type, { type Static, type TSchema } from "typebox";
import { PARAMETER_TYPES } from "../plan.ts";
import * as field from "./field.ts";

const optional = Type.Optional;
/** Steps within steps within steps are a program, and nobody reads it at night. */
const DEEPEST = 3;

/** Anything that one line says; parameters are filled in before it is read as what it is. */
function value(description: string) {
  return optional(field.plain(description));
}

const SCALARS = {
  name: value("What people call this step."),
  drain: value("Units that get no new work."),
  undrain: value("Units that get work again, whoever drained them."),
  evacuate: value("A unit that can be reached: all its slots and keys move off, behind a fence."),
  move: value("Slots that move, behind a fence."),
  fence: value("Slots whose writes are held, until an unfence or the end."),
  unfence: value("Slots whose fences of this execution are lifted."),
  limit: value("Limits, with another rate, bucket or mode."),
  degrade: value("Routes that answer from their fallback."),
  breaker: value("A service whose breaker in a unit is held."),
  weight: value("A service, with another share of its canary."),
  pin: value("A key that is placed by hand."),
  mirror: value("A route of which a share is copied."),
  gate: value("A condition to wait for, such as errors{unit=sh} < 1%."),
  wait: value("A time to wait, such as 30s."),
  approve: value("A role: so many people who have it agree, and nobody to their own."),
  notify: value("What is said on the watch stream and in the audit log."),
  hook: value("An address of your own that is called, signed."),
  if: value("A condition; `then` and `else` are what follows."),
  ramp: value("With drain: from nobody to everybody. Default 10s."),
  deadline: value("With drain: when upgraded connections are closed. Default 5m."),
  to: value("With evacuate and move: the units they go to. Default: the unit's own failover, by capacity."),
  batch: value("Slots in one fence. Default 128."),
  pause: value("Between batches. Default 0s."),
  hold: value("How long writes are held before they are refused. Default 2s."),
  "catch-up": value("An address that answers when the data of a batch is where it goes."),
  rate: value("With limit."),
  scale: value("With limit: of what it is now, such as 50%."),
  burst: value("With limit."),
  mode: value("With limit: enforce or dry-run."),
  unit: value("With breaker and pin."),
  state: value("With breaker: open or closed."),
  share: value("With weight and mirror."),
  service: value("With mirror: where the copies go."),
  version: value("With mirror. Default stable."),
  writes: value("With mirror: whether writes are copied. Default false."),
  window: value("With gate and if: 10s, 1m, 10m or 1h. Default 10s."),
  samples: value("With gate: requests that must be in the window. Default 1."),
  holds: value("With gate: how long without a break. Default 0s."),
  timeout: value("With gate, approve, hook and catch-up."),
  count: value("With approve: how many. Default 1."),
  body: value("With hook: JSON that is sent."),
  retries: value("With hook and catch-up: attempts after the first. Default 2."),
};

function steps(depth: number, description: string): TSchema {
  const inner: Record<string, TSchema> =
    depth === 0
      ? {}
      : {
          parallel: optional(steps(depth - 1, "Steps that go on at the same time.")),
          // biome-ignore lint/suspicious/noThenProperty: the word of the language, in a map that nobody awaits
          then: optional(steps(depth - 1, "With if: what follows where the condition holds.")),
          else: optional(steps(depth - 1, "With if: what follows where it does not, or nobody knows.")),
        };
  const step = field.map("a step", "One thing that is done, and what belongs to it.", {
    ...SCALARS,
    ...inner,
  });
  return field.list(description, "a list of steps", step, 1);
}

const texts = (description: string) =>
  optional(field.list(description, "a list of conditions", field.plain("Such as serving >= 2.")));

export const PlanSchema = field.map("a plan", "A contingency that was written in daylight.", {
  summary: field.text("What it does, in one sentence."),
  owner: field.text("Who keeps it."),
  kind: optional(
    field.word("failover: the unit may be dead, its data behind, and writes lost.", [
      "contingency",
      "failover",
    ]),
  ),
  lag: optional(
    field.map("a lag", "With kind failover: how far the data of what is dead is behind.", {
      hook: field.text('An address that answers { "seconds": n }; it may name parameters.'),
      bear: optional(field.duration("So much may be lost without another's word. Default 0s.", { min: 0 })),
    }),
  ),
  parameters: optional(
    field.named(
      "parameter",
      "What is said when it is run: --set name=value.",
      field.map("a parameter", "A value that the steps name by $, braces and its name.", {
        type: field.word("What it is.", PARAMETER_TYPES),
        summary: optional(field.text("What it is for.")),
        default: optional(field.plain("Without one, it has to be said.")),
        allowed: optional(field.list("The only values.", "a list of values", field.plain("A value."), 1)),
        min: optional(field.plain("The least.")),
        max: optional(field.plain("The most.")),
      }),
    ),
  ),
  trigger: optional(
    field.map("a trigger", "What suggests it, beside somebody who runs it.", {
      alerts: optional(field.list("Alerts.", "a list of names", field.name("An alert."))),
      schedule: optional(
        field.map("a schedule", "When it is suggested.", {
          at: field.text("Wall-clock time, such as 2026-11-11T00:00.", {
            expected: "a time such as 2026-11-11T00:00",
            pattern: /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?$/,
            code: "invalid-time",
          }),
          zone: field.text("IANA time zone, such as Asia/Shanghai."),
        }),
      ),
    }),
  ),
  require: texts("What has to hold before the first step."),
  steps: steps(DEEPEST, "What is done, in order."),
  success: texts("What says that it did what it is for."),
  "on-failure": optional(field.word("What a failed step leads to. Default hold.", ["hold", "revert"])),
  expires: optional(
    field.map("an expiry", "How long what it did stays.", {
      after: field.duration("After it succeeded.", { min: 1000, max: 92 * 24 * 3_600_000 }),
      // biome-ignore lint/suspicious/noThenProperty: the word of the language, in a map that nobody awaits
      then: optional(field.word("Default ask.", ["revert", "ask"])),
    }),
  ),
  "rehearse-every": optional(
    field.text("Such as 30d: an older rehearsal asks for one approval more.", {
      pattern: /^\d{1,3}d$/,
      expected: "days such as 30d",
    }),
  ),
});

export type PlanShape = Static<typeof PlanSchema>;
