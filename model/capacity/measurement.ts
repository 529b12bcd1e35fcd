/** What a unit was measured to bear. Plain data. */

export interface Measurement {
  readonly unit: string;
  /** Requests per second at the knee. */
  readonly rps: number;
  /** Share by which it may be wrong. */
  readonly error: number;
  /** Every time that it was searched. */
  readonly finds: readonly number[];
  readonly probes: number;
  /** The most that was tried held: it bears more. */
  readonly isAbove: boolean;
  /** What had to hold: share of good answers, and milliseconds of 99 in 100. */
  readonly success: number;
  readonly p99: number;
  /** What was asked, for people. */
  readonly mix: string;
  /** What ran there, as whoever measured called it; empty where nobody said. */
  readonly build: string;
  /** The stress run in which it was measured. */
  readonly run: string;
}

export interface KeptMeasurement extends Measurement {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly by: string;
  /** Of the configuration that held. */
  readonly revision: number;
}
