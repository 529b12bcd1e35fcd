/** The control plane's API, as the person who is signed in. */

/** Why something was not done, in the control plane's own words. */
export class Problem extends Error {
  override readonly name = "Problem";
  /** 0: there was no answer. */
  readonly status: number;
  /** Such as `safety`. */
  readonly kind: string;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(status: number, kind: string, title: string, details: Readonly<Record<string, unknown>> = {}) {
    super(title);
    this.status = status;
    this.kind = kind;
    this.details = details;
  }
}

export interface Sending {
  readonly body?: unknown;
  /** The same command with the same key is done once, however often it is sent. */
  readonly key?: string;
  /** Overrides of safety rules that somebody else has agreed to. */
  readonly overrides?: readonly string[];
  readonly signal?: AbortSignal;
}

/** Milliseconds. */
const LONGEST = 20_000;

export class Api {
  /** Called when the session is no more. */
  onSignedOut: () => void = () => {};

  get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return this.send<T>("GET", path, signal === undefined ? {} : { signal });
  }

  /** @throws Problem */
  async send<T>(method: string, path: string, sending: Sending = {}): Promise<T> {
    const { body, key, overrides = [], signal } = sending;
    const deadline = AbortSignal.timeout(LONGEST);
    const answer = await fetch(path, {
      method,
      headers: {
        ...OWN,
        accept: "application/json",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(key === undefined ? {} : { "idempotency-key": key }),
        ...(overrides.length === 0 ? {} : { "tidegate-override": overrides.join(" ") }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
    }).catch((error: Error) => {
      if (signal?.aborted === true) throw error;
      throw new Problem(0, "unreachable", error.message);
    });
    return (await this.read(answer)) as T;
  }

  /** A stream of server-sent events. @throws Problem */
  async stream(path: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    const answer = await fetch(path, { headers: { ...OWN, accept: "text/event-stream" }, signal });
    if (!answer.ok || answer.body === null) await this.read(answer);
    return answer.body!;
  }

  async read(answer: Response): Promise<unknown> {
    const text = await answer.text();
    const isJson = answer.headers.get("content-type")?.includes("json") ?? false;
    const value: unknown = isJson && text !== "" ? JSON.parse(text) : undefined;
    if (answer.ok) return value;
    const problem = (value ?? {}) as { type?: string; title?: string };
    const kind = problem.type?.split(":").at(-1) ?? "unknown";
    if (answer.status === 401) this.onSignedOut();
    throw new Problem(answer.status, kind, problem.title ?? `HTTP ${answer.status}`, { ...problem });
  }
}

/** The session's cookie counts beside this field alone: no page of another origin can set it. */
const OWN = { "x-tidegate-console": "1" };
