/** What the sample unit has seen; `GET /__unit` answers it. Health checks and `/__unit` itself are not counted. */
export interface Abort {
  readonly method: string;
  readonly path: string;
  /** Milliseconds, by the unit's clock. */
  readonly at: number;
}

export interface Report {
  /** Method → requests. */
  readonly requests: Readonly<Record<string, number>>;
  readonly total: number;
  /** Requests under way now. */
  readonly inflight: number;
  /** Requests whose peer left before the answer was finished. */
  readonly aborted: number;
  readonly lastAbort: Abort | undefined;
  /** Requests that wait for a worker. */
  readonly waiting: number;
  /** Requests that a worker served although nobody waited for the answer any more. */
  readonly wasted: number;
  readonly healthChecks: number;
  /** Open connections, WebSockets among them. */
  readonly connections: number;
  readonly websockets: number;
}

export class Counters {
  requests: Record<string, number> = {};
  total = 0;
  inflight = 0;
  aborted = 0;
  lastAbort: Abort | undefined;
  wasted = 0;
  healthChecks = 0;
  websockets = 0;

  begin(method: string): void {
    this.requests[method] = (this.requests[method] ?? 0) + 1;
    this.total++;
    this.inflight++;
  }

  end(abort: Abort | undefined): void {
    this.inflight--;
    if (abort === undefined) return;
    this.aborted++;
    this.lastAbort = abort;
  }

  /** Forgets the past; what is under way now stays counted. */
  clear(): void {
    this.requests = {};
    this.total = 0;
    this.aborted = 0;
    this.lastAbort = undefined;
    this.wasted = 0;
    this.healthChecks = 0;
  }

  report(connections: number, waiting: number): Report {
    const { requests, total, inflight, aborted, lastAbort, wasted, healthChecks, websockets } = this;
    return {
      requests: { ...requests },
      total,
      inflight,
      aborted,
      lastAbort,
      waiting,
      wasted,
      healthChecks,
      connections,
      websockets,
    };
  }
}
