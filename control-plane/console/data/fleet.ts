/** How the fleet is, live, and what was seen of it since the page was opened. */
import type { FedUnit, FleetNow } from "../../fleet-now.ts";
import type { Api } from "./api.ts";
import { type Ambient, EventStream } from "./event-stream.ts";
import { History, type Point } from "./history.ts";
import { Store } from "./store.ts";

/** Name of the series of all units. */
export const ALL = "";
/** Told once a second: after so long (ms) nobody knows. */
const SILENT = 4_000;

export class Fleet {
  readonly now = new Store<FleetNow | undefined>(undefined);
  readonly history = new History();
  readonly stream: EventStream;
  readonly #ambient: Ambient;
  /** The control plane's clock beside ours (ms). */
  #ahead = 0;

  constructor(api: Api, ambient: Ambient) {
    this.#ambient = ambient;
    this.stream = new EventStream({
      ...{ api, ambient, path: "/v1/fleet/watch", silent: SILENT },
      onOpen: () => {},
      onEvent: (type, data) => {
        if (type === "fleet") this.#see(JSON.parse(data) as FleetNow);
      },
    });
  }

  /** Milliseconds since 1970, by the control plane's clock. */
  time(): number {
    return this.#ambient.now() + this.#ahead;
  }

  #see(now: FleetNow): void {
    this.#ahead = now.now - this.#ambient.now();
    this.history.add(now.now, pointsOf(now));
    this.now.set(now);
  }
}

function* pointsOf({ total, units }: FleetNow): Generator<readonly [string, Point]> {
  yield [ALL, pointOf(total)];
  // A rate is of the last second, and the figures are of the last ten: what dies is seen to die.
  for (const { unit, figure, rate } of units) yield [unit, { ...pointOf(figure), rps: rate }];
}

function pointOf(figure: FedUnit["figure"]): Point {
  if (figure === null) return { rps: null, success: null, p50: null, p99: null };
  const { rps, successShare, p50, p99 } = figure;
  return { rps, success: successShare, p50, p99 };
}
