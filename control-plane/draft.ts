/** A change that was worked out on what stands, and not yet written: what a preview shows and what the desk writes. */
import type { Config } from "../model/config.ts";
import { effective, placementEpoch } from "../model/effective.ts";
import {
  type Audience,
  conflictOf,
  describeChange,
  type Overlay,
  type OverlayChange,
} from "../model/overlay.ts";
import { formatProblem, type Problem } from "../model/problem.ts";
import { type Base, readBase } from "./base.ts";
import { Refused } from "./refused.ts";
import type { Revision } from "./store/store.ts";

/** Who does something, and from where. */
export interface Actor {
  readonly name: string;
  readonly from: string;
  /** Overrides of safety rules that it was given, by id. */
  readonly overrides: readonly string[];
}

/** What holds now: one revision, taken apart. */
export interface Standing {
  readonly revision: Revision;
  readonly base: Base;
  /** The base alone. */
  readonly baseConfig: Config;
  readonly overlays: readonly Overlay[];
  /** base ⊕ overlays. */
  readonly config: Config;
}

export interface Draft {
  readonly before: Standing | undefined;
  readonly base: Base;
  readonly baseConfig: Config;
  readonly overlays: readonly Overlay[];
  readonly config: Config;
  readonly warnings: readonly Problem[];
}

/** An overlay that somebody asks for. */
export interface OverlayRequest {
  readonly change: OverlayChange;
  readonly reason: string;
  /** Milliseconds from now; undefined: until it is removed. */
  readonly expiresIn: number | undefined;
  /** The overlay that it takes the place of. */
  readonly supersedes: string | undefined;
  /** Missing: everybody. */
  readonly for?: Audience;
}

/** @throws Refused when the files are invalid, or do not carry the overlays */
export function draftApply(before: Standing | undefined, base: Base): Draft {
  const { baseConfig, problems } = readable(base);
  return draftOf(before, base, baseConfig, before?.overlays ?? [], problems);
}

/**
 * The base of an older revision again; overlays stay as they are.
 *
 * @throws Refused when there is no such revision, when it has the base that holds, or as `draftApply`
 */
export function draftRollback(before: Standing, target: Standing | undefined, to: number): Draft {
  if (target === undefined) throw new Refused("not-found", `there is no revision ${to}`);
  if (target.revision.base === before.revision.base) {
    throw new Refused("conflict", `revision ${to} has the base that holds now; nothing to roll back`);
  }
  return draftApply(before, target.base);
}

function readable(base: Base): { base: Base; baseConfig: Config; problems: readonly Problem[] } {
  const { config, problems } = readBase(base);
  if (config !== undefined) return { base, baseConfig: config, problems };
  throw new Refused("invalid-configuration", "the configuration is invalid; nothing was changed", {
    problems: problems.map((p) => ({ ...p, text: formatProblem(p) })),
  });
}

/** At once: more are a configuration that nobody reviewed. */
const MOST_OVERLAYS = 1_000;

/** Overlays that are laid and taken away together. */
export interface OverlaySet {
  readonly lay: readonly OverlayRequest[];
  /** Ids. */
  readonly remove: readonly string[];
  /** Overlays that were taken away earlier, as they were. */
  readonly restore?: readonly Overlay[];
  /** Files that take the place of the base in the same revision. */
  readonly base?: Base;
}

export interface OverlayDraft extends Draft {
  readonly laid: readonly Overlay[];
  readonly removed: readonly Overlay[];
  /** Everything that it does, as freezes except it. */
  readonly actions: readonly string[];
}

/** @throws Refused when another overlay writes the same, one does not fit, or there is none to remove or supersede */
export function draftOverlays(before: Standing, set: OverlaySet, owner: string, now: number): OverlayDraft {
  const { revision } = before;
  const { base, baseConfig } = set.base === undefined ? before : readable(set.base);
  const removed: Overlay[] = set.remove.map((id) => find(before, id, ""));
  let overlays = before.overlays.filter((o) => !removed.includes(o));
  const laid: Overlay[] = [];
  for (const overlay of set.restore ?? []) {
    checkConflict(overlay, overlays);
    overlays = [...overlays, overlay];
  }
  for (const request of set.lay) {
    if (request.supersedes !== undefined && !removed.some(({ id }) => id === request.supersedes)) {
      const replaced = find(before, request.supersedes, " to supersede");
      removed.push(replaced);
      overlays = overlays.filter((o) => o !== replaced);
    }
    checkConflict(request, overlays);
    const place = laid.length === 0 ? "" : `.${laid.length + 1}`;
    const overlay: Overlay = {
      id: `ov-${revision.number + 1}${place}`,
      change: request.change,
      owner,
      reason: request.reason,
      since: now,
      expires: request.expiresIn === undefined ? undefined : now + request.expiresIn,
      ...(request.for === undefined ? {} : { for: request.for }),
    };
    laid.push(overlay);
    overlays = [...overlays, overlay];
  }
  // What was taken away to be given back has had its place.
  if (laid.length > 0 && overlays.length > MOST_OVERLAYS) {
    const message = `there are ${MOST_OVERLAYS} overlays already; take some away, or write what is to stay into the base`;
    throw new Refused("too-many", message);
  }
  const draft = draftOf(before, base, baseConfig, overlays, []);
  return { ...draft, laid, removed, actions: actionsOf(set, [...laid, ...(set.restore ?? [])], removed) };
}

/** What takes the place of an overlay that is taken away changes it, and gives nothing back. */
function actionsOf(set: OverlaySet, laid: readonly Overlay[], removed: readonly Overlay[]): string[] {
  const isReplaced = (old: Overlay): boolean =>
    laid.some(({ change }) => change.kind === old.change.kind && conflictOf(change, [old]) !== undefined);
  const given = removed.filter((old) => !isReplaced(old)).map(({ change }) => `un${change.kind}`);
  const kinds = [
    ...(set.base === undefined ? [] : ["apply"]),
    ...laid.map(({ change }) => change.kind),
    ...given,
  ];
  return [...new Set(kinds)];
}

/** One overlay; its id is `ov-NEXT`. @throws Refused as `draftOverlays` */
export function draftOverlay(
  before: Standing,
  request: OverlayRequest,
  owner: string,
  now: number,
): OverlayDraft & { readonly overlay: Overlay } {
  const draft = draftOverlays(before, { lay: [request], remove: [] }, owner, now);
  return { ...draft, overlay: draft.laid[0]! };
}

function find({ overlays }: Standing, id: string, what: string): Overlay {
  const overlay = overlays.find((o) => o.id === id);
  if (overlay !== undefined) return overlay;
  throw new Refused("not-found", `there is no overlay ${id}${what}; tidegate overlay ls lists them`);
}

/** What is for few and what is for everybody do not write the same. */
function checkConflict(
  { change, for: audience }: Pick<Overlay, "change" | "for">,
  others: readonly Overlay[],
): void {
  const conflict = conflictOf(
    change,
    others.filter((other) => (other.for === undefined) === (audience === undefined)),
  );
  if (conflict === undefined) return;
  const { overlay, field } = conflict;
  const { id, owner: by, reason } = overlay;
  const message =
    `overlay ${id} (${describeChange(overlay.change)}, by ${by}: ${reason}) already writes ${field}; ` +
    `remove it, or say that this one supersedes ${id}`;
  throw new Refused("overlay-conflict", message, { overlay, field });
}

/** @throws Refused when there is no such overlay */
export function draftRemoval(before: Standing, id: string): OverlayDraft & { readonly overlay: Overlay } {
  const draft = draftOverlays(before, { lay: [], remove: [id] }, "", 0);
  const { change, owner } = draft.removed[0]!;
  if (change.kind === "move") {
    const message = `${id} moved slots; taken away without a fence, two units would take their writes: revert ${owner}`;
    throw new Refused("conflict", `${message} (tidegate plan revert)`);
  }
  return { ...draft, overlay: draft.removed[0]! };
}

/** @throws Refused when an overlay does not fit the base */
export function draftOf(
  before: Standing | undefined,
  base: Base,
  baseConfig: Config,
  overlays: readonly Overlay[],
  warnings: readonly Problem[],
): Draft {
  const { config, misfits } = effective(baseConfig, overlays);
  if (misfits.length > 0) {
    throw new Refused("invalid-configuration", `${misfits.join("; ")}; nothing was changed`, { misfits });
  }
  return { before, base, baseConfig, overlays, config: withEpoch(before, config), warnings };
}

/** @throws Refused when nothing was ever applied */
export function needed(standing: Standing | undefined): Standing {
  if (standing !== undefined) return standing;
  const message = "there is no configuration yet; apply one first: tidegate apply DIR --reason TEXT";
  throw new Refused("conflict", message);
}

function withEpoch(before: Standing | undefined, config: Config): Config {
  const { fleet } = config;
  const epoch = placementEpoch(before?.config.fleet.placement, fleet.placement);
  if (epoch === fleet.placement.epoch) return config;
  return { ...config, fleet: { ...fleet, placement: { ...fleet.placement, epoch } } };
}
