/** What this control plane knows of its gateways: what each serves, refused, and said of itself last. */
import type { Report } from "../../model/report.ts";

/** What a gateway says after it was sent a snapshot. */
export interface Ack {
  readonly epoch: number;
  readonly revision: number;
  readonly outcome: "applied" | "refused";
  /** Why it refused. */
  readonly reasons: readonly string[];
}

export interface KnownGateway {
  readonly name: string;
  connected: boolean;
  /** When it was heard of last, in milliseconds since 1970: so long ago, whatever the clock showed then. */
  heardAt: number;
  epoch: number;
  revision: number;
  /** Of the newest snapshot that it was sent and would not serve. */
  refused: { readonly revision: number; readonly reasons: readonly string[] } | undefined;
  report: Report | undefined;
}

/** A gateway that is gone is shown for so long (ms), and then forgotten. */
export const FORGET = 24 * 3_600_000;
/** More names than this are somebody's mistake. */
const MOST = 10_000;
/** A gateway that was not heard of for so long (ms) is not counted on. */
export const SILENT = 5_000;

export class Gateways {
  readonly #now: () => number;
  readonly #monotonic: () => number;
  readonly #known = new Map<string, KnownGateway>();
  /** When each was heard of, by a clock that nobody sets. */
  readonly #heard = new WeakMap<KnownGateway, number>();
  /** The stream that counts: one that was followed by another may end long after. */
  readonly #streamOf = new Map<string, number>();
  #streams = 0;
  /** What other control planes of the same store said of theirs. */
  #elsewhere = new Map<string, KnownGateway>();
  readonly #waiting = new Set<() => void>();
  /** Called when anything was heard that others may wait for. */
  onNews: () => void = () => {};

  /** @param now milliseconds since 1970; @param monotonic milliseconds of a clock that nobody sets */
  constructor(now: () => number, monotonic = now) {
    this.#now = now;
    this.#monotonic = monotonic;
  }

  /** By name, whoever holds the stream. */
  list(): KnownGateway[] {
    const all = new Map(this.#elsewhere);
    for (const gateway of all.values()) this.#date(gateway);
    for (const gateway of this.own()) {
      const other = all.get(gateway.name);
      // Who has its stream knows best; of two that think so, who hears it.
      const isElsewhere = other?.connected === true && (!gateway.connected || this.#isSilent(gateway));
      if (!isElsewhere) all.set(gateway.name, gateway);
    }
    return [...all.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Those that were ever connected to this process. */
  own(): KnownGateway[] {
    for (const [name, gateway] of this.#known) {
      this.#date(gateway);
      if (gateway.connected || this.silence(gateway) <= FORGET) continue;
      this.#known.delete(name);
      this.#streamOf.delete(name);
    }
    return [...this.#known.values()];
  }

  /** @param silent milliseconds since it was heard of */
  setElsewhere(gateways: readonly { readonly gateway: KnownGateway; readonly silent: number }[]): void {
    const all = new Map<string, KnownGateway>();
    for (const { gateway, silent } of gateways) {
      this.#heard.set(gateway, this.#monotonic() - silent);
      if (gateway.connected || !all.has(gateway.name)) all.set(gateway.name, gateway);
    }
    this.#elsewhere = all;
    this.#tell();
  }

  /** Those that a change has to reach. */
  live(): KnownGateway[] {
    return this.list().filter((g) => g.connected && !this.#isSilent(g));
  }

  /** @returns the stream's number, from 1 on; undefined when there are too many gateways already */
  connected(name: string): number | undefined {
    const gateway = this.#get(name);
    if (gateway === undefined) return undefined;
    gateway.connected = true;
    this.#hear(gateway);
    this.#streams++;
    this.#streamOf.set(name, this.#streams);
    return this.#streams;
  }

  /** @param stream that has ended; undefined: whichever it has */
  disconnected(name: string, stream?: number): void {
    if (stream !== undefined && this.#streamOf.get(name) !== stream) return;
    const gateway = this.#known.get(name);
    if (gateway !== undefined) gateway.connected = false;
    this.#tell();
  }

  /** It has ended, and nobody has to wait for it; one that is connected by now is another. */
  left(name: string): void {
    if (this.#known.get(name)?.connected === true) return;
    this.#known.delete(name);
    this.#streamOf.delete(name);
    this.#tell();
  }

  acked(name: string, ack: Ack): void {
    const gateway = this.#get(name);
    if (gateway === undefined) return;
    this.#hear(gateway);
    if (ack.outcome === "applied") {
      gateway.epoch = ack.epoch;
      gateway.revision = ack.revision;
      gateway.refused = undefined;
    } else {
      gateway.refused = { revision: ack.revision, reasons: ack.reasons };
    }
    this.#tell();
  }

  reported(name: string, report: Report): void {
    const gateway = this.#get(name);
    if (gateway === undefined) return;
    this.#hear(gateway);
    gateway.epoch = report.epoch;
    gateway.revision = report.revision;
    gateway.report = report;
    this.#tell();
  }

  /** Whether all that live serve this revision; who does not yet, and who will not. */
  convergence(revision: number): {
    readonly live: number;
    readonly behind: string[];
    readonly refused: string[];
  } {
    const live = this.live();
    const refused = live.filter((g) => g.refused !== undefined && g.refused.revision >= revision);
    const behind = live.filter((g) => g.revision < revision && !refused.includes(g));
    return { live: live.length, behind: behind.map((g) => g.name), refused: refused.map((g) => g.name) };
  }

  /** The next time that anything was heard, or after so long (ms). */
  news(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      this.#waiting.add(done);
    });
  }

  #tell(): void {
    for (const done of [...this.#waiting]) done();
    this.onNews();
  }

  #hear(gateway: KnownGateway): void {
    this.#heard.set(gateway, this.#monotonic());
    this.#date(gateway);
  }

  /** Milliseconds since it was heard of. */
  silence(gateway: KnownGateway): number {
    return this.#monotonic() - (this.#heard.get(gateway) ?? Number.NEGATIVE_INFINITY);
  }

  #isSilent(gateway: KnownGateway): boolean {
    return this.silence(gateway) > SILENT;
  }

  #date(gateway: KnownGateway): void {
    gateway.heardAt = Math.round(this.#now() - this.silence(gateway));
  }

  #get(name: string): KnownGateway | undefined {
    let gateway = this.#known.get(name);
    if (gateway === undefined) {
      if (this.#known.size >= MOST) return undefined;
      gateway = {
        name,
        connected: false,
        heardAt: this.#now(),
        epoch: 0,
        revision: 0,
        refused: undefined,
        report: undefined,
      };
      this.#hear(gateway);
      this.#known.set(name, gateway);
    }
    return gateway;
  }
}
