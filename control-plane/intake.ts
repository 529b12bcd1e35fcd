/** What gateways report, whichever control plane they told: figures, and their failed and slow requests. */
import { TraceRing } from "../model/trace-ring.ts";
import type { FleetFigures } from "./fleet-figures.ts";
import type { Reported } from "./publish/figure-relay.ts";

/** A control plane keeps some kilobytes of each. */
const ROOM = { failed: 100, slow: 50, all: 5_000 };

export class Intake {
  readonly figures: FleetFigures;
  readonly errors = new TraceRing(ROOM);

  constructor(figures: FleetFigures) {
    this.figures = figures;
  }

  /** Reports are sent again until they are acknowledged. @returns what was not known yet; undefined: nothing */
  readonly add = (gateway: string, { slice, errors = [] }: Reported): Reported | undefined => {
    const isNew = slice !== undefined && this.figures.add(gateway, slice);
    const fresh = errors.filter((one) => !this.errors.has(one)).map((one) => ({ ...one, gateway }));
    for (const one of fresh) this.errors.add(one);
    if (!isNew && fresh.length === 0) return undefined;
    return { ...(isNew ? { slice } : {}), ...(fresh.length > 0 ? { errors: fresh } : {}) };
  };
}
