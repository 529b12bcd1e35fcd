/** A plan that comes to a unit goes before a rollout there: nobody changes versions in the middle of a contingency. */
import { eachStep, type Step } from "../../model/plan-step.ts";

/** Units that steps work on by name. */
export function unitsOf(steps: readonly Step[]): Set<string> {
  const units = new Set<string>();
  for (const step of eachStep(steps)) {
    switch (step.kind) {
      case "drain":
      case "undrain":
        for (const unit of step.units) units.add(unit);
        break;
      case "evacuate":
        units.add(step.unit);
        for (const unit of step.to) units.add(unit);
        break;
      case "move":
        for (const unit of step.to) units.add(unit);
        break;
      case "breaker":
      case "pin":
      case "canary":
      case "stage":
        units.add(step.unit);
        break;
    }
  }
  return units;
}
