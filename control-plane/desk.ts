/**
 * Where every change of the fleet is made: it decides on the newest revision, checks the whole result, and writes
 * revision, documents, events and audit in one commit. Publication follows from the commit, never the other way round.
 */
import { describeChange, type Overlay } from "../model/overlay.ts";
import { Archive, encodeOverlays, type Read } from "./archive.ts";
import { type Base, digestOf, encodeBase, readBase } from "./base.ts";
import type { Purpose } from "./base-reader.ts";
import {
  type Actor,
  type Draft,
  draftApply,
  draftOf,
  draftOverlay,
  draftOverlays,
  draftRemoval,
  draftRollback,
  needed,
  type OverlayRequest,
  type OverlaySet,
  type Standing,
} from "./draft.ts";
import { Expiries } from "./expiries.ts";
import { Refused } from "./refused.ts";
import type { Deed, Passage } from "./safety-gate.ts";
import {
  type AuditLine,
  type Commit,
  Conflict,
  Deposed,
  type PutDocument,
  type Revision,
  type Store,
  Unavailable,
} from "./store/store.ts";

export interface DeskOptions {
  readonly store: Store;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Milliseconds of a clock that nobody sets. */
  readonly monotonic: () => number;
  /** The leadership to write under; undefined while this control plane does not lead. */
  readonly epoch: () => number | undefined;
  /** Why the store does not answer, as far as it is known that it does not. */
  readonly outage?: () => string | undefined;
  /** Refuses what a safety rule forbids. @throws Refused */
  readonly check: (draft: Draft, deed: Deed) => Promise<Passage>;
  /** Missing: on this thread, which stands still meanwhile. */
  readonly read?: Read;
}

interface Cause {
  readonly actor: Actor;
  readonly reason: string;
  /** `apply`, `overlay`, `expiry`, `rollback`. */
  readonly cause: string;
  /** What the safety rules are told, such as `drain`: everything that it does. */
  readonly actions: readonly string[];
  readonly target: string;
  readonly before: unknown;
  readonly after: unknown;
  readonly also?: Also | undefined;
}

/** Documents that are written in the commit of what was made. */
export type Also<Made = Standing> = (made: Made) => readonly PutDocument[];

export interface OverlayChanges {
  readonly laid: readonly Overlay[];
  readonly removed: readonly Overlay[];
}

const NO_PASSAGE: Passage = { puts: [], audit: [] };

export class Desk {
  readonly #options: DeskOptions;
  readonly #store: Store;
  readonly #expiries: Expiries;
  readonly #read: Read;
  readonly #archive: Archive;
  #standing: Standing | undefined;
  /** The look at what others wrote that has not begun yet. */
  #look: Promise<void> | undefined;
  #looks: Promise<void> = Promise.resolve();
  /** One change at a time: each decides on what the one before it left. */
  #queue: Promise<unknown> = Promise.resolve();
  /** Called with what holds after every change, whoever made it. */
  onStanding: (standing: Standing) => void = () => {};

  constructor(options: DeskOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#expiries = new Expiries(options.now, options.monotonic);
    this.#read = options.read ?? (async (base) => readBase(base));
    this.#archive = new Archive(options.store, this.#read);
  }

  /** Undefined until the first configuration was applied. */
  get standing(): Standing | undefined {
    return this.#standing;
  }

  /** Reads what others wrote; those that ask while it is read share the next look. @throws Unavailable · Refused */
  refresh(): Promise<void> {
    this.#look ??= this.#looks.then(() => {
      this.#look = undefined;
      const look = this.#refresh();
      this.#looks = look.catch(() => {});
      return look;
    });
    return this.#look;
  }

  async #refresh(): Promise<void> {
    const head = await this.#store.head();
    if (head === (this.#standing?.revision.number ?? 0)) return;
    const standing = await this.at(head, "stored");
    // A later one may have been written while this one was read.
    if (standing === undefined || standing.revision.number <= (this.#standing?.revision.number ?? 0)) return;
    this.#standing = standing;
    this.onStanding(standing);
  }

  /** What held at a revision; undefined when there is no such revision. @throws Refused · Unavailable */
  at(number: number, purpose: Purpose): Promise<Standing | undefined> {
    return this.#archive.at(number, purpose, this.#standing);
  }

  /**
   * @param expect the revision that the writer saw; undefined: whatever is there
   * @returns the standing revision, unchanged, when the files are the same
   */
  async apply(
    base: Base,
    expect: number | undefined,
    reason: string,
    actor: Actor,
    also?: Also,
  ): Promise<Standing> {
    // Before its turn: whoever drains a unit meanwhile does not wait for ten thousand routes.
    await this.#read(base, "change");
    return this.#inTurn(async () => {
      this.#expect(expect);
      const draft = draftApply(this.#standing, base);
      const before = this.#standing;
      const digest = digestOf(encodeBase(base));
      if (before !== undefined && before.revision.base === digest) {
        // Sent again later, it must not undo what others did meanwhile.
        const puts = also?.(before) ?? [];
        if (puts.length > 0) await this.write({ expectHead: before.revision.number, puts });
        return before;
      }
      return this.#commit(draft, {
        actor,
        reason,
        cause: "apply",
        actions: ["apply"],
        target: "configuration",
        before: before === undefined ? null : { base: before.revision.base },
        after: { base: digest },
        also,
      });
    });
  }

  /** The base of an older revision again, as a new one; overlays stay as they are. */
  async rollback(
    to: number,
    expect: number | undefined,
    reason: string,
    actor: Actor,
    also?: Also,
  ): Promise<Standing> {
    // Before its turn: a revision does not change.
    const target = await this.at(to, "change");
    return this.#inTurn(async () => {
      this.#expect(expect);
      const draft = draftRollback(this.#need(), target, to);
      return this.#commit(draft, {
        actor,
        reason,
        cause: "rollback",
        actions: ["rollback"],
        target: `revision ${to}`,
        before: { base: draft.before!.revision.base },
        after: { base: target!.revision.base, revision: to },
        also,
      });
    });
  }

  addOverlay(
    request: OverlayRequest,
    expect: number | undefined,
    actor: Actor,
    also?: Also<Standing & { overlay: Overlay }>,
  ): Promise<Standing & { overlay: Overlay }> {
    return this.#inTurn(async () => {
      this.#expect(expect);
      const draft = draftOverlay(this.#need(), request, actor.name, this.#options.now());
      const before = this.#need().overlays.find((o) => o.id === request.supersedes) ?? null;
      const standing = await this.#commit(draft, {
        actor,
        reason: request.reason,
        cause: "overlay",
        actions: draft.actions,
        target: describeChange(request.change),
        before,
        after: draft.overlay,
        also: (made) => also?.({ ...made, overlay: draft.overlay }) ?? [],
      });
      return { ...standing, overlay: draft.overlay };
    });
  }

  removeOverlay(
    id: string,
    expect: number | undefined,
    reason: string,
    actor: Actor,
    also?: Also,
  ): Promise<Standing> {
    return this.#inTurn(async () => {
      this.#expect(expect);
      const draft = draftRemoval(this.#need(), id);
      return this.#commit(draft, {
        actor,
        reason,
        cause: "overlay",
        actions: draft.actions,
        target: describeChange(draft.overlay.change),
        before: draft.overlay,
        after: null,
        also,
      });
    });
  }

  /**
   * Overlays that are laid and taken away in one revision, under one owner; what belongs to them is written with them.
   *
   * @param made told what was laid and taken away, before it is written
   */
  change(
    set: OverlaySet,
    owner: string,
    reason: string,
    actor: Actor,
    also?: Also<Standing & OverlayChanges>,
  ): Promise<Standing & OverlayChanges> {
    return this.#inTurn(async () => {
      const draft = draftOverlays(this.#need(), set, owner, this.#options.now());
      const { laid, removed } = draft;
      const standing = await this.#commit(draft, {
        actor,
        reason,
        cause: "overlay",
        actions: draft.actions,
        target: [...laid, ...removed].map((o) => describeChange(o.change)).join("; "),
        before: removed,
        after: laid,
        also: (made) => also?.({ ...made, laid, removed }) ?? [],
      });
      return { ...standing, laid, removed };
    });
  }

  /** Takes away what has expired, in one revision. Safety rules do not hold an expiry back: it was agreed to. */
  expire(): Promise<Standing | undefined> {
    return this.#inTurn(async () => {
      const standing = this.#standing;
      const over = this.#expiries.over(standing?.overlays ?? []);
      if (standing === undefined || over.length === 0) return undefined;
      const { base, baseConfig, overlays } = standing;
      const rest = overlays.filter((o) => !over.includes(o));
      return this.#commit(draftOf(standing, base, baseConfig, rest, []), {
        actor: { name: "tidegate", from: "", overrides: [] },
        reason: `expired: ${over.map((o) => o.id).join(", ")}`,
        cause: "expiry",
        actions: ["expiry"],
        target: over.map((o) => describeChange(o.change)).join("; "),
        before: over,
        after: null,
      });
    });
  }

  async #commit(draft: Draft, cause: Cause): Promise<Standing> {
    const { actions, target, actor } = cause;
    // What expires was agreed to when it was laid: no rule and no freeze holds it back.
    // Nor the end of a stress run: nothing is safer.
    const isFree = cause.cause === "expiry" || `${actions}` === "stress-stop";
    const passage = isFree ? NO_PASSAGE : await this.#options.check(draft, { actions, target, actor });
    const epoch = this.#options.epoch();
    if (epoch === undefined) {
      const outage = this.#options.outage?.();
      const why = outage === undefined ? "" : `, because the store does not answer (${outage})`;
      throw new Refused(
        "not-leader",
        `this control plane does not lead now${why}; nothing was changed, try again in a few seconds`,
      );
    }
    const head = draft.before?.revision.number ?? 0;
    const base = encodeBase(draft.base);
    const overlays = encodeOverlays(draft);
    const config = JSON.stringify(draft.config);
    const at = this.#options.now();
    const revision: Revision = {
      number: head + 1,
      at,
      author: cause.actor.name,
      reason: cause.reason,
      cause: cause.cause,
      base: digestOf(base),
      overlays: digestOf(overlays),
      effective: digestOf(config),
    };
    const line: AuditLine = {
      at,
      actor: cause.actor.name,
      from: cause.actor.from,
      action: `${cause.cause}.${actions[0] ?? "none"}`,
      target: cause.target,
      reason: cause.reason,
      before: JSON.stringify(cause.before),
      after: JSON.stringify(cause.after),
    };
    const { number, author, reason } = revision;
    const { base: files, baseConfig, overlays: list, config: result } = draft;
    const standing: Standing = { revision, base: files, baseConfig, overlays: list, config: result };
    await this.write({
      expectHead: head,
      epoch,
      revision,
      blobs: new Map([
        [revision.base, base],
        [revision.overlays, overlays],
      ]),
      events: [
        {
          at,
          type: "revision",
          body: JSON.stringify({ revision: number, cause: cause.cause, author, reason }),
        },
      ],
      puts: [...passage.puts, ...(cause.also?.(standing) ?? [])],
      audit: [...passage.audit, line],
    });
    this.#standing = standing;
    this.onStanding(standing);
    return standing;
  }

  /** The store's refusals in the words of the API. @throws Refused */
  async write(change: Commit): Promise<void> {
    try {
      await this.#store.commit(change);
    } catch (error) {
      if (error instanceof Conflict) {
        await this.refresh().catch(() => {});
        throw new Refused("conflict", `${error.message}; read again, and decide again`);
      }
      if (error instanceof Deposed)
        throw new Refused("not-leader", `another control plane leads now: ${error.message}`);
      if (error instanceof Unavailable)
        throw new Refused("store", `the store did not take it: ${error.message}`);
      throw error;
    }
  }

  #expect(expect: number | undefined): void {
    const head = this.#standing?.revision.number ?? 0;
    if (expect === undefined || expect === head) return;
    throw new Refused(
      "conflict",
      `revision ${head} is the newest, and this was decided on ${expect}; look at the difference and try again`,
      { head, expected: expect },
    );
  }

  #need(): Standing {
    return needed(this.#standing);
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(act, act);
    this.#queue = turn.catch(() => {});
    return turn;
  }
}
