/**
 * What the control planes of one store tell each other of their gateways: each holds some of the streams, and all of
 * them must know who serves what. Written when it changes, and now and then to say that the writer lives.
 */
import type { Store } from "../store/store.ts";
import type { Gateways, KnownGateway } from "./gateways.ts";

const PLANE = "plane";
/** Said again after this (ms) though nothing changed. */
const AGAIN = 2_000;
/** A control plane that said nothing for so long (ms) is gone, and its gateways are elsewhere. */
const GONE = 6_000;
/** More control planes than this are none. */
const MOST = 50;

interface Heard {
  readonly version: number;
  /** By our own clock: theirs may be another. */
  readonly at: number;
  readonly gateways: readonly Said[];
}

/** How long (ms) it was silent when it was written: another's clock may show another time. */
interface Said {
  readonly gateway: KnownGateway;
  readonly silent: number;
}

export class Peers {
  readonly #store: Store;
  readonly #gateways: Gateways;
  readonly #holder: string;
  readonly #monotonic: () => number;
  #heard = new Map<string, Heard>();
  #said = "";
  #saidAt = Number.NEGATIVE_INFINITY;
  #busy = false;

  constructor(store: Store, gateways: Gateways, holder: string, monotonic: () => number) {
    this.#store = store;
    this.#gateways = gateways;
    this.#holder = holder;
    this.#monotonic = monotonic;
  }

  /** Says and hears. Call it often; it does nothing while the last call is under way. @throws Unavailable */
  async tick(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      await this.#say();
      await this.#hear();
    } finally {
      this.#busy = false;
    }
  }

  async stop(): Promise<void> {
    await this.#store.commit({ deletes: [{ kind: PLANE, id: this.#holder }] });
  }

  async #say(): Promise<void> {
    const own = this.#gateways.own();
    // When each was heard of changes all the time, and says nothing that a living stream does not.
    const what = JSON.stringify(own.map(({ heardAt: _, report: __, ...rest }) => rest));
    const now = this.#monotonic();
    if (what === this.#said && now - this.#saidAt < AGAIN) return;
    const said = own.map((gateway) => ({
      gateway: { ...gateway, refused: gateway.refused ?? null },
      silent: this.#gateways.silence(gateway),
    }));
    const body = JSON.stringify(said);
    await this.#store.commit({ puts: [{ kind: PLANE, id: this.#holder, body }] });
    this.#said = what;
    this.#saidAt = now;
  }

  async #hear(): Promise<void> {
    const now = this.#monotonic();
    const heard = new Map<string, Heard>();
    for (const { id, version, body } of await this.#store.documents(PLANE, undefined, MOST)) {
      if (id === this.#holder) continue;
      const before = this.#heard.get(id);
      if (before?.version === version) heard.set(id, before);
      else heard.set(id, { version, at: now, gateways: gatewaysFrom(body) });
    }
    this.#heard = heard;
    const live = [...heard.values()].filter(({ at }) => now - at < GONE);
    this.#gateways.setElsewhere(
      live.flatMap(({ gateways, at }) =>
        gateways.map(({ gateway, silent }) => ({ gateway, silent: silent + now - at })),
      ),
    );
    const gone = [...heard]
      .filter(([, { at }]) => now - at >= 10 * GONE)
      .map(([id]) => ({ kind: PLANE, id }));
    if (gone.length > 0) await this.#store.commit({ deletes: gone });
  }
}

function gatewaysFrom(body: string): Said[] {
  const list = JSON.parse(body) as { gateway?: KnownGateway; silent: number }[];
  return list.flatMap(({ gateway, silent }) =>
    // As it was written before: it is written again in a second.
    gateway === undefined ? [] : [{ gateway: { ...gateway, refused: gateway.refused ?? undefined }, silent }],
  );
}
