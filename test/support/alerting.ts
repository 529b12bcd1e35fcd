/** Alerts on a fleet without sockets: a real store, gateways that say what they are told to say, clocks by hand. */
import { Alerting } from "../../control-plane/alerts/alerting.ts";
import type { Sent } from "../../control-plane/alerts/channels.ts";
import type { Message } from "../../model/alerts/message.ts";
import type { Slice } from "../../model/report.ts";
import { Sight } from "../../control-plane/runbook/sight.ts";
import { type Kill, Runbook } from "./runbook.ts";

export interface SentMessage {
  readonly channel: string;
  readonly key: string;
  readonly message: Message;
  /** Seconds since the beginning. */
  readonly at: number;
}

export class AlertedFleet {
  readonly runbook: Runbook;
  /** What channels were sent, whatever came of it. */
  readonly sent: SentMessage[] = [];
  readonly logged: string[] = [];
  answer: (channel: string, message: Message) => Promise<Sent> = async () => ({ ok: true });
  alerting!: Alerting;
  unhealthy = new Set<string>();
  violations: readonly { rule: string; message: string }[] = [];
  /** Whether the gateway says anything. */
  speaks = true;
  /** Requests and errors of the next second, by unit. */
  counts: Readonly<Record<string, readonly [requests: number, errors: number]>> = {};
  readonly #began: number;
  #slices = 0;

  constructor(
    alerts: string,
    plans: Readonly<Record<string, string>> = {},
    files: Readonly<Record<string, string>> = {},
  ) {
    this.runbook = new Runbook(plans, { "alerts.yaml": alerts, ...files });
    this.#began = this.runbook.monotonic;
  }

  async boot(kill?: Kill): Promise<void> {
    const { runbook } = this;
    await runbook.boot(kill);
    const say = (...what: unknown[]): void => void this.logged.push(JSON.stringify(what));
    const random = (bytes: number): Buffer => Buffer.alloc(bytes, 7);
    const { desk, engine, figures, gateways, disk } = runbook;
    const epoch = (await disk.leader())!.epoch;
    this.alerting = new Alerting({
      ...{ desk, engine, figures, gateways, store: disk, hosts: [], secret: () => undefined, random },
      sight: new Sight({ figures, gateways, monotonic: () => runbook.monotonic }),
      hooks: { refusal: () => undefined, call: async () => ({ ok: true, status: 200, answer: {} }) },
      planWatch: { unfit: new Map() },
      violations: () => this.violations as never,
      epoch: () => epoch,
      now: () => runbook.wall,
      monotonic: () => runbook.monotonic,
      log: { info: say, warn: say, error: say } as never,
      channels: {
        problem: () => undefined,
        send: async ({ name }, message, key) => {
          this.sent.push({ channel: name, key, message, at: this.second });
          return await this.answer(name, message);
        },
      },
    });
  }

  get second(): number {
    return (this.runbook.monotonic - this.#began) / 1_000;
  }

  /** Seconds go by, one look each. @returns whether it lives */
  async pass(seconds: number): Promise<boolean> {
    for (let i = 0; i < seconds; i++) {
      this.runbook.wall += 1_000;
      this.runbook.monotonic += 1_000;
      this.#report();
      await this.alerting.look();
      // Messages are on their way meanwhile.
      for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
      if (this.runbook.isDead) return false;
    }
    return true;
  }

  #report(): void {
    const { gateways, figures } = this.runbook;
    if (!this.speaks) return;
    this.runbook.acknowledge();
    const units = Object.fromEntries(
      ["hz", "sh", "sz"].map((name) => [
        name,
        { healthy: !this.unhealthy.has(name), inflight: 0, rate: 1, drained: 0 },
      ]),
    );
    const { epoch = 0, revision = 0 } = gateways.list()[0] ?? {};
    gateways.reported("gw-1", { epoch, revision, units });
    const series = Object.entries(this.counts).map(
      ([unit, [requests, errors]]) =>
        ["cart", unit, "stable", [requests - errors, 0, errors], [8, requests]] as const,
    );
    const slice: Slice = {
      ...{ start: "a", number: ++this.#slices, span: 1_000, age: 0, folded: 0, series, limited: [] },
    };
    figures.add("gw-1", slice);
  }
}
