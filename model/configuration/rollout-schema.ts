/** The shape of `rollouts/*.yaml`. */
import Type, { type Static } from "typebox";
import * as field from "./field.ts";

const optional = Type.Optional;
const ROLES = ["operator", "approver", "admin"] as const;
const DAY = 24 * field.HOUR;

const hook = (when: string) =>
  optional(
    field.map("a hook", `An address of your own that is called, signed, ${when}.`, {
      url: field.text("Where."),
      body: optional(field.text("JSON that is sent with it.")),
      timeout: optional(field.duration("Of one attempt. Default 10s.", { max: field.HOUR })),
      retries: optional(field.integer("Attempts after the first. Default 2.", { min: 0, max: 100 })),
    }),
  );

const metric = field.map("a metric", "A number of the canary that may not be worse.", {
  query: field.plain("PromQL that has one number. $unit, $version and $service stand for what is looked at."),
  worse: optional(field.word("What is worse. Default higher.", ["higher", "lower"])),
  ratio: optional(
    field.percentage("Of stable's that is borne, such as 150%; where lower is worse, such as 80%.", {
      min: 0.01,
      max: 100,
    }),
  ),
  limit: optional(field.decimal("Borne whatever stable has: at most; where lower is worse, at least.")),
  windows: optional(
    field.integer("Answers, 10 s apart, before anything is said of it. Default 3.", { min: 1, max: 1000 }),
  ),
});

export const RolloutSchema = field.map(
  "a rollout",
  "A canary that goes through the units, a little at a time.",
  {
    summary: field.text("What it brings, in one sentence."),
    owner: field.text("Who keeps it."),
    service: optional(field.reference("service", "Whose canary it is.")),
    change: optional(
      field.word("routes: it brings other routes, given when it is begun, instead of a canary.", ["routes"]),
    ),
    waves: optional(
      field.list(
        "Units in order: quietest, pairs, each, rest, or names with commas. Default quietest, then each.",
        "a list of waves",
        field.plain("quietest, pairs, each, rest, or units such as `sh, hz`.", 1000),
        1,
      ),
    ),
    parallel: optional(field.integer("Units of a wave at once. Default 1.", { min: 1, max: 100 })),
    steps: field.list(
      "Shares of the users, each larger than the one before.",
      "a list of steps",
      field.map("a step", "One share, and how long it is looked at.", {
        share: field.percentage("Of the users.", { min: 0.0001 }),
        bake: field.duration("At least so long.", { max: 31 * DAY }),
        approve: optional(field.word("Somebody with this role agrees first.", ROLES)),
      }),
      1,
    ),
    testers: optional(
      field.map("testers", "Who sees the canary of a unit first, and whatever its share.", {
        header: optional(
          field.map("a header", "Of a request that sees the canary.", {
            name: field.headerName("Its name."),
            value: field.text("Its value."),
          }),
        ),
        pins: optional(field.list("Keys.", "a list of keys", field.text("A key.", { numbers: true }))),
        bake: optional(field.duration("How long they are alone with it. Default 0s.", { min: 0, max: DAY })),
      }),
    ),
    approve: optional(field.word("Somebody with this role agrees before each wave.", ROLES)),
    before: hook("before a unit begins"),
    after: hook("after a unit is done"),
    evidence: optional(
      field.map(
        "evidence",
        "What the canary may be worse by, against stable of the same unit at the same time.",
        {
          samples: optional(
            field.integer("Requests of each before a step passes. Default 100.", { min: 0, max: 1e9 }),
          ),
          errors: optional(field.percentage("More errors that are borne. Default 0.2%.")),
          latency: optional(field.percentage("Slower by so much that is borne. Default 30%.", { max: 10 })),
          metrics: optional(field.named("metric", "Numbers of a Prometheus beside them, by name.", metric)),
        },
      ),
    ),
    "on-failure": optional(
      field.word("What is taken back: the unit, all of them, or nothing. Default all.", [
        "unit",
        "all",
        "hold",
      ]),
    ),
    deadline: optional(
      field.duration("From its start; what has not passed by then has failed. Default 24h.", {
        min: 1000,
        max: 92 * DAY,
      }),
    ),
    promote: optional(field.boolean("At the end the canary becomes stable in the base. Default true.")),
  },
);

export type RolloutShape = Static<typeof RolloutSchema>;
