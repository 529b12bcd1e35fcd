/** A runbook engine whose fleet has two versions of a service, and figures of what they answered second by second. */
import { digestOf, encodeBase, readBase } from "../../control-plane/base.ts";
import {
  checkAloneInUnits,
  prepareRollout,
  type ProposedBase,
  rolloutExecution,
} from "../../control-plane/rollouts/preparation.ts";
import type { Execution } from "../../control-plane/runbook/execution.ts";
import { bucketOf } from "../../model/latency-histogram.ts";
import { OUTCOME, OUTCOMES } from "../../model/outcome.ts";
import type { PoolView } from "../../model/report.ts";
import type { Version } from "../../model/fleet.ts";
import { ANN, Runbook } from "./runbook.ts";

export const UNITS = ["hz", "sh", "sz"];

/** What a version answers: a share of failures, and seconds. */
export interface Manner {
  readonly failures?: number;
  readonly seconds?: number;
}

const FLEET = `fleet: test
regions: { r: {} }
units:
  hz: { region: r, center: true }
  sh: { region: r }
  sz: { region: r }
placement:
  key: [ { header: x-user-id } ]
  slots: 1024
  map: { hz: 0-340, sh: 341-682, sz: 683-1023 }
services:
  hall:
    # reviewed by bob
    pools:
${UNITS.map((unit, i) => `      ${unit}: { stable: [ "http://127.0.0.1:${i + 1}" ], canary: [ "http://127.0.0.1:1${i + 1}" ] }`).join("\n")}
`;

export class Rolling extends Runbook {
  /** Requests per second of each unit. */
  rps = 100;
  /** By `unit version`, over what `manner` says. */
  readonly manners = new Map<string, Manner>();
  /** Requests under way, by unit. */
  readonly underWay = new Map<string, { readonly stable: number; readonly canary: number }>();
  readonly down = new Set<string>();
  /** No gateway reports. */
  isSilent = false;
  /** Unit → the shares that it had, one after the other. */
  readonly shares = new Map<string, number[]>();
  #slices = 0;

  /** @param written what `rollouts/hall.yaml` says beside summary, owner and service */
  constructor(written: string, plans: Readonly<Record<string, string>> = {}) {
    super(plans, {
      "fleet.yaml": FLEET,
      "rollouts/hall.yaml": `summary: a test\nowner: ann\nservice: hall\n${written}`,
      "rollouts/routes.yaml": `summary: a test\nowner: ann\nchange: routes\n${written}`,
    });
  }

  /** @param files that a rollout of routes brings, in place of the base's */
  async roll(name = "hall", files?: Readonly<Record<string, string>>): Promise<Execution> {
    const { standing } = this;
    let proposed: ProposedBase | undefined;
    if (files !== undefined) {
      const base = new Map([...standing.base, ...Object.entries(files)]);
      proposed = { base, config: readBase(base).config! };
      await this.desk.write({ blobs: new Map([[digestOf(encodeBase(base)), encodeBase(base)]]) });
    }
    const prepared = prepareRollout(name, standing.config, new Map(), () => [], standing, proposed);
    return await this.engine.start(
      (id, live) => {
        checkAloneInUnits(prepared, live);
        return rolloutExecution(id, prepared, standing.revision.base, "a test", ANN, this.wall);
      },
      () => [],
    );
  }

  share(unit: string): number {
    const { fleet, staged } = this.standing.config;
    return staged?.units[unit] ?? fleet.services[0]!.canary.units?.[unit]?.share ?? 0;
  }

  /** So many seconds of traffic, spread by the shares that hold. */
  async seconds(n: number, done: () => boolean = () => false): Promise<void> {
    for (let i = 0; i < n && !this.isDead && !done(); i++) {
      for (const unit of UNITS) {
        const seen = this.shares.get(unit) ?? [];
        if (seen.at(-1) !== this.share(unit)) this.shares.set(unit, [...seen, this.share(unit)]);
      }
      if (!this.isSilent) this.#report();
      await this.pass(1_000);
    }
  }

  #report(): void {
    const series = UNITS.flatMap((unit) =>
      (["stable", "canary"] as const).map((version) => this.#seriesOf(unit, version)),
    ).filter(([, , , outcomes]) => outcomes.some((n) => n > 0));
    this.#slices++;
    this.figures.add("gw-1", {
      start: "one",
      number: this.#slices,
      span: 1_000,
      age: 0,
      folded: 0,
      series,
      limited: [],
    });
    const pools = [...this.down].map((name): PoolView => {
      const [unit, version] = name.split(" ") as [string, Version];
      return { service: "hall", unit, version, usable: 0, total: 1 };
    });
    const { epoch = 1, revision = 0 } = this.gateways.list()[0] ?? {};
    const canaries = [...this.underWay].map(([unit, load]) => ({ service: "hall", unit, ...load }));
    this.gateways.reported("gw-1", { epoch, revision, units: {}, pools, canaries });
  }

  #seriesOf(unit: string, version: Version) {
    const share = version === "canary" ? this.share(unit) : 1 - this.share(unit);
    const n = Math.round(this.rps * share);
    const { failures = 0, seconds = 0.02 } = this.manners.get(`${unit} ${version}`) ?? {};
    const failed = Math.round(n * failures);
    const outcomes = new Array<number>(OUTCOMES.length).fill(0);
    outcomes[OUTCOME.success] = n - failed;
    outcomes[OUTCOME.error] = failed;
    const latencies = n === 0 ? [] : [bucketOf(seconds), n];
    return ["cart", unit, version, outcomes, latencies] as const;
  }
}
