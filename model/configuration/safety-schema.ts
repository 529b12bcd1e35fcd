/** The shape of `safety.yaml`. */
import Type, { type Static } from "typebox";
import { CHANGES } from "../safety.ts";
import * as field from "./field.ts";

const optional = Type.Optional;

/** With its zone: a freeze that begins an hour late is none. */
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})$/;

function time(description: string) {
  return field.text(description, {
    expected: "a time with its zone, such as 2026-11-10T00:00:00+08:00",
    pattern: TIME,
    code: "invalid-time",
  });
}

export const SafetySchema = field.map("safety.yaml", "What no change may break.", {
  rules: field.named(
    "rule",
    "Rules by name; `--override` names them.",
    field.map("a rule", "One assertion, and what belongs to it.", {
      serving: optional(field.integer("At least so many units serve.", { min: 1, max: 2048 })),
      service: optional(field.reference("service", "With serving: only units that serve this one count.")),
      drained: optional(field.integer("At most so many units are drained at once.", { min: 0, max: 2048 })),
      capacity: optional(
        field.percentage("Of the load, what remains of the units' capacity is at least this.", {
          min: 0.01,
          max: 100,
        }),
      ),
      load: optional(
        field.either(
          "With capacity: the load. Default current.",
          "current, forecast, or a rate such as 30000rps",
          [
            field.word("As the gateways report it, or the most that forecast.csv expects.", [
              "current",
              "forecast",
            ]),
            field.rate("A load that is expected."),
          ],
        ),
      ),
      within: optional(
        field.duration("With load: forecast: so long from now on. Default 24h.", {
          min: 60_000,
          max: 31 * 24 * field.HOUR,
        }),
      ),
      losing: optional(field.word("With capacity: what else is lost. Default one.", ["one", "none"])),
      freeze: optional(
        field.list(
          "No change in these times.",
          "a list of windows",
          field.map("a window", "From one time to another.", {
            from: time("When it begins."),
            to: time("When it is over."),
            except: optional(
              field.list(
                "Kinds of changes that pass.",
                "a list such as [drain, undrain]",
                field.word(
                  "A kind of overlay, `un` before it when it is taken away; apply, rollback.",
                  CHANGES,
                ),
              ),
            ),
          }),
          1,
        ),
      ),
      versions: optional(
        field.word("No change leaves a service without a version that can be used in a unit.", [
          "one-healthy",
        ]),
      ),
    }),
  ),
});

export type SafetyShape = Static<typeof SafetySchema>;
