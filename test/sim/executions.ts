/**
 * A hundred executions at once over two hundred units, on the real engine, desk and store: some are paused, aborted and
 * taken back, the control plane is killed again and again, its clock is set. Each act is laid once, two that write the
 * same do not run together, and what is taken back is taken back exactly.
 */
import { Refused } from "../../control-plane/refused.ts";
import * as command from "../../control-plane/runbook/commands.ts";
import { EXECUTION, type Execution, isLive, ownerOf } from "../../control-plane/runbook/execution.ts";
import { isActing } from "../../control-plane/runbook/program.ts";
import { Unavailable } from "../../control-plane/store/store.ts";
import { type Random, seededRandom } from "../../model/clock.ts";
import type { Overlay } from "../../model/overlay.ts";
import { Runbook } from "../support/runbook.ts";

const UNITS = 200;
const PLANS = 125;
const SLOTS = 1024;
/** Slots of one plan. */
const BLOCK = 8;
/** Steps of the world's time (ms) in which it is bad, and in which all has to come to its end. */
const BAD = 25;
const CALM = 80;

export interface Outcome {
  readonly problems: readonly string[];
  readonly seen: {
    readonly started: number;
    readonly refused: number;
    readonly together: number;
    readonly commands: number;
    readonly kills: number;
    readonly acts: number;
    readonly reverted: number;
    readonly revisions: number;
  };
}

/** What a plan writes, beside its steps. */
interface Drawn {
  readonly name: string;
  readonly text: string;
  readonly things: ReadonlySet<string>;
}

class Executions {
  readonly #random: Random;
  readonly #plans: readonly Drawn[];
  readonly #book: Runbook;
  readonly #problems: string[] = [];
  readonly #counts = { started: 0, refused: 0, together: 0, commands: 0, kills: 0 };
  /** Execution → what it writes. */
  readonly #things = new Map<string, ReadonlySet<string>>();

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    this.#plans = Array.from({ length: PLANS }, (_, i) => this.#draw(i));
    this.#book = new Runbook(Object.fromEntries(this.#plans.map(({ name, text }) => [name, text])), FLEET);
  }

  async run(): Promise<Outcome> {
    const book = this.#book;
    await book.boot();
    const before = this.#bare();
    await Promise.all(this.#plans.map((plan) => this.#start(plan)));
    this.#counts.together = (await book.engine.live()).length;
    this.#checkAlone(await this.#all());
    await this.#settle();
    for (let i = 0; i < BAD; i++) {
      await this.#disturb();
      await this.#pass(this.#between(100, 1_500));
      if (i % 10 === 0) this.#checkAlone(await this.#all());
    }
    await this.#end();
    const acts = await this.#checkActs();
    const reverted = await this.#revertAll();
    if (this.#bare() !== before) this.#problems.push("all is taken back, and it is not as it was");
    const { number: revisions } = book.standing.revision;
    this.#problems.push(...book.errors.map((error) => `a defect: ${error.stack}`));
    await book.disk.close();
    return { problems: this.#problems, seen: { ...this.#counts, acts, reverted, revisions } };
  }

  /** Steps over a unit, a limit, a key, a route and slots of its own; now and then those of another. */
  #draw(i: number): Drawn {
    const of = (): number => (this.#random.next() < 0.04 ? Math.floor(this.#random.next() * PLANS) : i);
    const things = new Set<string>();
    const own = (thing: string): string => {
      things.add(thing);
      return thing;
    };
    const steps = [
      () => `{ drain: ${own(`u${of() + 1}`)}, ramp: 0s }`,
      () => `{ limit: ${own(`l${of()}`)}, rate: ${10 + Math.floor(this.#random.next() * 80)}/s }`,
      () => `{ pin: ${own(`k${of()}`)}, unit: u${(i % 100) + 101} }`,
      () => `{ degrade: ${own(`r${of()}`)} }`,
      () => {
        const first = of() * BLOCK;
        own(`slots ${first}`);
        return `{ move: ${first}-${first + BLOCK - 1}, to: u${(i % 100) + 101}, batch: ${BLOCK / 2} }`;
      },
      () => `{ wait: ${1 + Math.floor(this.#random.next() * 4)}s }`,
      () => "{ notify: on it }",
      () => '{ hook: "https://ops.example/x" }',
    ];
    const chosen = steps.filter(() => this.#random.next() < 0.75).map((step) => step());
    const inner = chosen.splice(1, 2);
    if (inner.length > 0) chosen.push(`{ parallel: [ ${inner.join(", ")} ] }`);
    const text = `steps: [ { wait: 1s }, ${[...chosen, "{ notify: over }"].join(", ")} ]\n`;
    return { name: `plan-${i}`, text, things };
  }

  async #start({ name, things }: Drawn): Promise<void> {
    try {
      const { id } = await this.#book.start(name);
      this.#things.set(id, things);
      this.#counts.started++;
    } catch (error) {
      if (!isExpected(error)) throw error;
      this.#counts.refused++;
      await this.#checkRefusal(things, (error as Error).message);
    }
  }

  async #disturb(): Promise<void> {
    const dice = this.#random.next();
    if (dice < 0.4) {
      const kill = {
        commit: this.#between(1, 12),
        when: dice < 0.2 ? "before" : "after",
      } as const;
      await this.#book.boot(kill);
    }
    // Whoever sets the clock ends no wait, and holds none up.
    if (dice > 0.9) this.#book.wall += Math.round(this.#between(-5, 5)) * 3_600_000;
    if (dice > 0.6) await this.#start(this.#pick(this.#plans));
    for (let i = 0; i < 4; i++) {
      const one = this.#pick(await this.#all());
      const { wall } = this.#book;
      await this.#command(
        one.id,
        this.#pick([
          command.pause,
          (execution) => command.resume(execution, []),
          (execution) => command.abort(execution, wall),
          (execution) => command.revert(execution, "ann"),
        ]),
      );
    }
  }

  async #command(id: string, change: (execution: Execution) => Execution): Promise<void> {
    try {
      await this.#book.command(id, change);
      this.#counts.commands++;
    } catch (error) {
      if (!isExpected(error)) throw error;
    }
  }

  async #pass(milliseconds: number): Promise<void> {
    await this.#book.pass(milliseconds);
    await this.#settle();
  }

  async #settle(): Promise<void> {
    await this.#book.settle();
    if (!this.#book.isDead) return;
    this.#counts.kills++;
    await this.#book.boot();
    await this.#book.settle();
  }

  /** What stands still is resumed, and given up where that does not help. */
  async #end(): Promise<void> {
    for (let i = 0; i < CALM; i++) {
      const live = (await this.#all()).filter(isLive);
      if (live.length === 0) return;
      const { wall } = this.#book;
      for (const { id, state } of live) {
        if (state !== "held" && state !== "paused") continue;
        const change = (one: Execution): Execution =>
          i > CALM / 2 ? command.abort(one, wall) : command.resume(one, []);
        await this.#command(id, change);
      }
      await this.#pass(1_000);
    }
    const left = (await this.#all()).filter(isLive);
    this.#problems.push(...left.map(({ id, state, says }) => `${id} has not ended: ${state}, ${says}`));
  }

  /** No two that may write have drawn the same thing. */
  #checkAlone(executions: readonly Execution[]): void {
    const owners = new Map<string, string>();
    for (const { id } of executions.filter(isActing)) {
      for (const thing of this.#things.get(id) ?? []) {
        const other = owners.get(thing);
        if (other !== undefined) this.#problems.push(`${id} and ${other} both write ${thing}`);
        owners.set(thing, id);
      }
    }
  }

  /** Who is refused for another is refused for one that writes the same. */
  async #checkRefusal(things: ReadonlySet<string>, message: string): Promise<void> {
    const id = /^(ex-\d+) \(plan/.exec(message)?.[1];
    if (id === undefined) return;
    const other = [...(this.#things.get(id) ?? [])];
    // Drains fill by default, pins move: only what was drawn counts.
    if (!other.some((thing) => things.has(thing)) && this.#things.has(id))
      this.#problems.push(`${id} writes nothing of ${[...things].join(", ")}: ${message}`);
  }

  /** What each execution laid, by the audit log: never the same twice, and nothing missing of what is done. */
  async #checkActs(): Promise<number> {
    const laid = new Map<string, number>();
    let after = 0;
    for (;;) {
      const page = await this.#book.disk.audit(after, 1_000);
      for (const { action, actor, after: json } of page) {
        if (!action.startsWith("overlay.")) continue;
        const overlays = JSON.parse(json) as Overlay[] | null;
        for (const { change } of Array.isArray(overlays) ? overlays : []) {
          // A fence that was lifted is laid again.
          if (change.kind === "fence") continue;
          const key = `${actor} ${JSON.stringify(change)}`;
          laid.set(key, (laid.get(key) ?? 0) + 1);
        }
      }
      if (page.length < 1_000) break;
      after = page.at(-1)!.number;
    }
    for (const [key, times] of laid) if (times > 1) this.#problems.push(`laid ${times} times: ${key}`);
    let acts = 0;
    for (const execution of await this.#all()) {
      const count = [...laid.keys()].filter((key) => key.startsWith(`${ownerOf(execution)} `)).length;
      const wanted = doneActs(execution);
      if (count < wanted)
        this.#problems.push(`${execution.id}: ${wanted} acts are done, and ${count} were laid`);
      acts += count;
    }
    return acts;
  }

  async #revertAll(): Promise<number> {
    for (let i = 0; i < CALM; i++) {
      const left = (await this.#all()).filter(({ state }) => state !== "reverted");
      if (left.length === 0) break;
      for (const { id } of left) await this.#command(id, (one) => command.revert(one, "ann"));
      await this.#pass(6_000);
    }
    const all = await this.#all();
    for (const { id, state, says, proof } of all) {
      if (state !== "reverted") this.#problems.push(`${id} is not taken back: ${state}, ${says}`);
      else if (proof?.effective !== proof?.without) this.#problems.push(`${id} is not taken back exactly`);
    }
    const { overlays } = this.#book.standing;
    if (overlays.length > 0) this.#problems.push(`${overlays.length} overlays lie though all is taken back`);
    return all.filter(({ state }) => state === "reverted").length;
  }

  async #all(): Promise<Execution[]> {
    const stored = await this.#book.disk.documents(EXECUTION, undefined, 10_000);
    return stored.map(({ body }) => JSON.parse(body) as Execution);
  }

  /** What holds, but for the epoch, which only rises. */
  #bare(): string {
    const { fleet, ...rest } = this.#book.standing.config;
    return JSON.stringify({ ...rest, fleet: { ...fleet, placement: { ...fleet.placement, epoch: 0 } } });
  }

  #between(low: number, high: number): number {
    return Math.round(low + this.#random.next() * (high - low));
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random.next() * list.length)]!;
  }
}

/** Acts that are done and lay something: each batch of a move is one. */
function doneActs({ steps, runs }: Execution): number {
  let count = 0;
  for (const step of steps.flatMap((one) => (one.kind === "parallel" ? one.steps : [one]))) {
    const run = runs[step.path];
    if (["drain", "limit", "pin", "degrade"].includes(step.kind) && run?.state === "done") count++;
    count += run?.transfers?.filter(({ phase }) => phase === "switched" || phase === "done").length ?? 0;
  }
  return count;
}

function isExpected(error: unknown): boolean {
  return error instanceof Refused || error instanceof Unavailable;
}

const names = Array.from({ length: UNITS }, (_, i) => `u${i + 1}`);
const share = Math.floor(SLOTS / UNITS);
const FLEET: Readonly<Record<string, string>> = {
  "fleet.yaml": `fleet: crowd
regions: { r: {} }
units:
${names.map((name, i) => `  ${name}: { region: r${i === 0 ? ", center: true" : ""} }`).join("\n")}
placement:
  key: [ { query: uid } ]
  slots: ${SLOTS}
  map:
${names.map((name, i) => `    ${name}: ${i * share}-${i === UNITS - 1 ? SLOTS - 1 : (i + 1) * share - 1}`).join("\n")}
services:
  hall:
    health: none
    pools:
${names.map((name, i) => `      ${name}: { stable: [ "http://10.0.0.${i % 250}:${9000 + i}" ] }`).join("\n")}
`,
  "routes.yaml": `routes:
${Array.from({ length: PLANS }, (_, i) => `  - { name: r${i}, match: { path: /r${i}/* }, service: hall, scope: nearest, fallback: { status: 503 } }`).join("\n")}
limits:
${Array.from({ length: PLANS }, (_, i) => `  l${i}: { rate: 100/s, burst: 200 }`).join("\n")}
`,
};

export async function executionsChecked(
  from: number,
  seeds: number,
): Promise<{ readonly problems: readonly string[]; readonly sum: Outcome["seen"] }> {
  const problems: string[] = [];
  const sum: Record<string, number> = {};
  for (let seed = from; seed < from + seeds; seed++) {
    const { problems: found, seen } = await new Executions(seed).run();
    problems.push(...found.map((one) => `seed ${seed}: ${one}`));
    for (const [name, value] of Object.entries(seen)) sum[name] = (sum[name] ?? 0) + value;
  }
  return { problems, sum: sum as unknown as Outcome["seen"] };
}
