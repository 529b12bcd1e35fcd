/**
 * Copies a share of a route's requests to another pool, and forgets what it answers: a first look at a version or a
 * service under real traffic. The client, its unit and their health hear nothing of it.
 */
import type { Dispatcher } from "undici";
import type { CompiledRoute, Endpoint, EndpointPool, Table } from "../model/table.ts";
import { isSafe } from "../model/decide.ts";
import type { Core } from "./core.ts";
import type { Question } from "./question.ts";
import { withPlacement } from "./request-head.ts";
import type { Connection, EndpointConnections } from "./upstream.ts";

/** Copies of one thread that are under way at once; more are not sent. */
const MOST_UNDER_WAY = 64;
/** A copy may take so long (ms). */
const TIMEOUT = 5_000;
/** Bytes of an answer that are read to keep the connection. */
const MOST_ANSWER = 1024 * 1024;

export class Mirror {
  readonly #core: Core;
  #underWay = 0;

  constructor(core: Core) {
    this.#core = core;
  }

  /** @param unit that serves the request: a copy stays in it · @param body whole */
  send({ identity, decision, table }: Question, unit: string, body: Buffer | null): void {
    const { route } = decision;
    const { mirror } = route.spec;
    if (mirror === undefined || this.#core.random.next() >= mirror.share) return;
    if (!mirror.writes && !isSafe(identity.method)) return;
    const pool = poolOf(table, route, unit);
    const endpoint = pool === undefined ? undefined : this.#core.picker.pick(pool, undefined, false);
    if (endpoint === undefined || this.#underWay >= MOST_UNDER_WAY) {
      this.#count(route, endpoint === undefined ? "nobody" : "busy");
      return;
    }
    this.#underWay++;
    const headers = [...withPlacement(identity.head, unit, table.epoch, decision), "x-tidegate-mirror", "1"];
    const copy = new Copy(this.#core, endpoint, (outcome) => {
      this.#underWay--;
      this.#count(route, outcome);
    });
    try {
      copy.send(identity.target, identity.method, headers, body);
    } catch {
      // Whatever is wrong with it, the request that it is a copy of goes on.
      copy.onResponseError();
    }
  }

  #count(route: CompiledRoute, outcome: string): void {
    this.#core.metrics.count("tidegate_mirrored_total", `route="${route.name}",outcome="${outcome}"`);
  }
}

/** In the same unit; undefined where it has none. */
function poolOf(table: Table, { spec }: CompiledRoute, unit: string): EndpointPool | undefined {
  const { service, version } = spec.mirror!;
  const pools = table.services.find((s) => s.name === service)?.pools;
  const own = pools?.find((p) => p?.unit.name === unit);
  return version === "canary" ? own?.canary : own?.stable;
}

class Copy implements Dispatcher.DispatchHandler {
  readonly #connections: EndpointConnections;
  readonly #connection: Connection;
  readonly #onEnd: (outcome: "answered" | "failed") => void;
  readonly #timer: NodeJS.Timeout;
  #bytes = 0;
  #over = false;

  constructor(core: Core, endpoint: Endpoint, onEnd: (outcome: "answered" | "failed") => void) {
    this.#connections = core.upstreams.of(endpoint);
    this.#connection = this.#connections.take();
    this.#onEnd = onEnd;
    this.#timer = setTimeout(() => this.#end("failed"), TIMEOUT);
  }

  send(path: string, method: string, headers: string[], body: Buffer | null): void {
    const options = { path, method, headers, body, reset: false, servername: this.#connections.servername };
    this.#connection.client.dispatch(options as never, this);
  }

  onRequestStart(): void {}

  onResponseStart(): void {}

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > MOST_ANSWER) this.#end("failed");
  }

  onResponseEnd(): void {
    if (this.#finish("answered")) this.#connections.give(this.#connection);
  }

  onResponseError(): void {
    this.#end("failed");
  }

  #end(outcome: "answered" | "failed"): void {
    if (this.#finish(outcome)) void this.#connection.client.destroy();
  }

  #finish(outcome: "answered" | "failed"): boolean {
    if (this.#over) return false;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#onEnd(outcome);
    return true;
  }
}
