/** A change that was worked out on what stands, and not yet written: what a preview shows and what the desk writes. */
import type { Config } from "../model/config.ts";
import { effective } from "../model/effective.ts";
import { conflictOf, describeChange, type Overlay, type OverlayChange } from "../model/overlay.ts";
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
}

/** @throws Refused when the files are invalid, or do not carry the overlays */
export function draftApply(before: Standing | undefined, base: Base): Draft {
  const { config, problems } = readBase(base);
  if (config === undefined) {
    throw new Refused("invalid-configuration", "the configuration is invalid; nothing was changed", {
      problems: problems.map((p) => ({ ...p, text: formatProblem(p) })),
    });
  }
  return draftOf(before, base, config, before?.overlays ?? [], problems);
}

/** @throws Refused when another overlay writes the same, or it does not fit; its id is `ov-NEXT` */
export function draftOverlay(
  before: Standing,
  request: OverlayRequest,
  owner: string,
  now: number,
): Draft & { readonly overlay: Overlay } {
  const { base, baseConfig, overlays, revision } = before;
  const { supersedes } = request;
  const replaced = supersedes === undefined ? undefined : overlays.find((o) => o.id === supersedes);
  if (supersedes !== undefined && replaced === undefined) {
    const message = `there is no overlay ${supersedes} to supersede; tidegate overlay ls lists them`;
    throw new Refused("not-found", message);
  }
  const others = overlays.filter((o) => o !== replaced);
  const conflict = conflictOf(request.change, others);
  if (conflict !== undefined) {
    const { overlay, field } = conflict;
    const { id, owner: by, reason } = overlay;
    const message =
      `overlay ${id} (${describeChange(overlay.change)}, by ${by}: ${reason}) already writes ${field}; ` +
      `remove it, or say that this one supersedes ${id}`;
    throw new Refused("overlay-conflict", message, { overlay, field });
  }
  const overlay: Overlay = {
    id: `ov-${revision.number + 1}`,
    change: request.change,
    owner,
    reason: request.reason,
    since: now,
    expires: request.expiresIn === undefined ? undefined : now + request.expiresIn,
  };
  return { ...draftOf(before, base, baseConfig, [...others, overlay], []), overlay };
}

/** @throws Refused when there is no such overlay */
export function draftRemoval(before: Standing, id: string): Draft & { readonly overlay: Overlay } {
  const { base, baseConfig, overlays } = before;
  const overlay = overlays.find((o) => o.id === id);
  if (overlay === undefined) {
    throw new Refused("not-found", `there is no overlay ${id}; tidegate overlay ls lists them`);
  }
  const rest = overlays.filter((o) => o !== overlay);
  return { ...draftOf(before, base, baseConfig, rest, []), overlay };
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
  return { before, base, baseConfig, overlays, config, warnings };
}

/** @throws Refused when nothing was ever applied */
export function needed(standing: Standing | undefined): Standing {
  if (standing !== undefined) return standing;
  const message = "there is no configuration yet; apply one first: tidegate apply DIR --reason TEXT";
  throw new Refused("conflict", message);
}
