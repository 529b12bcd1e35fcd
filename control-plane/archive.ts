/** What held at a revision: read from the store, and put together as it was. */
import type { Config } from "../model/config.ts";
import type { ReadConfig } from "../model/configuration/read-config.ts";
import { effective } from "../model/effective.ts";
import type { Overlay } from "../model/overlay.ts";
import { type Base, decodeBase } from "./base.ts";
import type { Purpose } from "./base-reader.ts";
import type { Draft, Standing } from "./draft.ts";
import { Refused } from "./refused.ts";
import type { Store } from "./store/store.ts";

/** Reads a base; off the thread, where there is one that must not stand still. */
export type Read = (base: Base, purpose: Purpose) => Promise<ReadConfig>;

type Known = Pick<Standing, "base" | "baseConfig">;

export class Archive {
  readonly #store: Store;
  readonly #read: Read;

  constructor(store: Store, read: Read) {
    this.#store = store;
    this.#read = read;
  }

  /**
   * @param now what holds: most revisions share its base, which need not be read again
   * @returns undefined when there is no such revision
   * @throws Refused when this version cannot read it · Unavailable
   */
  async at(number: number, purpose: Purpose, now: Standing | undefined): Promise<Standing | undefined> {
    const revision = await this.#store.revision(number);
    if (revision === undefined) return undefined;
    const known = now?.revision.base === revision.base ? now : undefined;
    const [baseText, overlaysText] = await Promise.all([
      known === undefined ? this.#store.blob(revision.base) : undefined,
      this.#store.blob(revision.overlays),
    ]);
    const { base, baseConfig } = known ?? (await this.#readable(number, decodeBase(baseText!), purpose));
    const { epoch, overlays } = decodeOverlays(overlaysText!);
    const { config } = effective(baseConfig, overlays);
    const { fleet } = config;
    const placement = { ...fleet.placement, epoch: Math.max(epoch, fleet.placement.epoch) };
    return { revision, base, baseConfig, overlays, config: { ...config, fleet: { ...fleet, placement } } };
  }

  async #readable(number: number, base: Base, purpose: Purpose): Promise<Known> {
    const { config } = await this.#read(base, purpose);
    if (config !== undefined) return { base, baseConfig: config };
    throw new Refused(
      "invalid-configuration",
      `revision ${number} is not valid for this version of Tidegate; expected the version that made it, or a newer one`,
    );
  }
}

/** The placement's epoch lies with the overlays: neither they nor the base alone can tell it. */
export function encodeOverlays({ overlays, config }: Pick<Draft, "overlays"> & { config: Config }): string {
  return JSON.stringify({ epoch: config.fleet.placement.epoch, overlays });
}

function decodeOverlays(text: string): { epoch: number; overlays: Overlay[] } {
  const stored = JSON.parse(text) as Overlay[] | { epoch: number; overlays: Overlay[] };
  // As it was before epochs were kept.
  return Array.isArray(stored) ? { epoch: 0, overlays: stored } : stored;
}
