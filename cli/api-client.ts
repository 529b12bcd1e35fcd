/** What every command that operates a fleet has in common: where the control plane is, who asks, how a refusal looks. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { styleText } from "node:util";
import type { Command } from "commander";
import { readAuthorities } from "../host/tls-files.ts";

export interface ApiOptions {
  readonly controlPlane?: string;
  readonly json?: boolean;
  /** A safety rule that is to be broken on purpose. */
  readonly override?: string;
  readonly reason?: string;
}

const DEFAULT_URL = "http://127.0.0.1:8090";
const TIMEOUT = 70_000;
/** Where there are several control planes, one leads again after this (ms). */
const ELECTION = 10_000;

/** The control plane said no, or nothing. */
export class ApiFailure extends Error {
  /** The problem document; undefined when nothing came. */
  readonly problem: Readonly<Record<string, unknown>> | undefined;

  constructor(message: string, problem?: Readonly<Record<string, unknown>>) {
    super(message);
    this.problem = problem;
  }
}

/** Nothing came: another control plane may answer. */
class Elsewhere extends ApiFailure {
  /** The connection broke off: the command may have been done. */
  wasReset = false;
}

/** What undici says when a connection ends before the answer does. */
const RESETS = new Set(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"]);

export class ApiClient {
  /** Tried in turn: of several control planes one leads. */
  readonly #urls: readonly string[];
  #at = 0;
  /** Overrides of safety rules that are shown with every command. */
  overrides: readonly string[] = [];
  readonly #token: string | undefined;
  #fetch: typeof fetch | undefined;

  constructor(options: ApiOptions) {
    const given = options.controlPlane ?? process.env.TIDEGATE_CONTROL_PLANE ?? DEFAULT_URL;
    this.#urls = given.split(",").map((url) => url.trim().replace(/\/$/, ""));
    this.#token = process.env.TIDEGATE_TOKEN?.trim() || tokenFromFile();
  }

  get url(): string {
    return this.#urls[this.#at % this.#urls.length]!;
  }

  /**
   * Goes on to the next control plane where one is gone or does not lead, for as long as an election takes. A command that
   * is sent again is sent with its key, and not done twice.
   *
   * @throws ApiFailure
   */
  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const until = performance.now() + ELECTION;
    const key = method === "GET" ? undefined : randomUUID();
    for (let tried = 1; ; tried++) {
      try {
        return await this.#callOne<T>(method, path, body, key);
      } catch (error) {
        if (tried === 1 && error instanceof Elsewhere && error.wasReset) continue;
        const kind = (error as ApiFailure).problem?.type;
        const elsewhere = error instanceof Elsewhere || kind === "urn:tidegate:problem:not-leader";
        if (!elsewhere || this.#urls.length === 1 || performance.now() > until) throw error;
        this.#at++;
        if (tried % this.#urls.length === 0) await new Promise((resolve) => setTimeout(resolve, 250));
      }
    }
  }

  /** The text of a stream as it comes. @throws ApiFailure · Error when it breaks off */
  async *stream(path: string): AsyncIterable<string> {
    this.#fetch ??= await fetchThatTrusts(process.env.TIDEGATE_CA);
    const answer = await this.#fetch(`${this.url}${path}`, { headers: this.#headers() });
    if (!answer.ok) {
      const problem = (await answer.json()) as Record<string, unknown>;
      throw new ApiFailure(String(problem.title ?? answer.status), problem);
    }
    const decoder = new TextDecoder();
    for await (const chunk of answer.body!) yield decoder.decode(chunk, { stream: true });
  }

  #headers(): Record<string, string> {
    return {
      ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
      ...(this.overrides.length === 0 ? {} : { "tidegate-override": this.overrides.join(", ") }),
    };
  }

  async #callOne<T>(method: string, path: string, body: unknown, key: string | undefined): Promise<T> {
    let answer: Response;
    let text: string;
    try {
      this.#fetch ??= await fetchThatTrusts(process.env.TIDEGATE_CA);
      answer = await this.#fetch(`${this.url}${path}`, {
        method,
        headers: {
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...(key === undefined ? {} : { "idempotency-key": key }),
          ...this.#headers(),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(TIMEOUT),
      });
      text = await answer.text();
    } catch (error) {
      if (error instanceof ApiFailure) throw error;
      const { message, cause } = error as Error & { cause?: Error & { code?: string } };
      const failure = new Elsewhere(
        `the control plane at ${this.url} does not answer (${cause?.message || message}); ` +
          "say where it is with --control-plane or TIDEGATE_CONTROL_PLANE",
      );
      failure.wasReset = RESETS.has(cause?.code ?? "");
      throw failure;
    }
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch {
      throw new ApiFailure(`${this.url} answered ${answer.status} and no JSON: is it a control plane?`);
    }
    if (answer.ok) return parsed as T;
    const problem = parsed as Record<string, unknown>;
    throw new ApiFailure(String(problem.title ?? answer.status), problem);
  }
}

/** @param file of TIDEGATE_CA: who signed the control plane's certificate, where no public authority did */
async function fetchThatTrusts(file: string | undefined): Promise<typeof fetch> {
  if (file === undefined || file === "") return fetch;
  let ca: string;
  try {
    ca = readAuthorities({ flag: "TIDEGATE_CA", file });
  } catch (error) {
    throw new ApiFailure((error as Error).message);
  }
  const undici = await import("undici");
  const dispatcher = new undici.Agent({ connect: { ca } });
  const trusting: unknown = (url: string, init: object) => undici.fetch(url, { ...init, dispatcher });
  return trusting as typeof fetch;
}

/** For people who keep it in a file: TIDEGATE_TOKEN_FILE. */
function tokenFromFile(): string | undefined {
  const file = process.env.TIDEGATE_TOKEN_FILE;
  return file === undefined ? undefined : readFileSync(file, "utf8").trim();
}

/** The options that every such command has. */
export function withApi(command: Command): Command {
  return command
    .option(
      "--control-plane <url>",
      `the control plane, or several with commas; or TIDEGATE_CONTROL_PLANE (default: ${DEFAULT_URL})`,
    )
    .option("--json", "print what the API answers, for scripts");
}

/** Runs a command: 0 done, 1 refused or failed, with the reason on standard error. */
export async function runApi(
  options: ApiOptions,
  act: (api: ApiClient, print: Printer) => Promise<void>,
): Promise<void> {
  const { override, reason = "", json = false } = options;
  const api = new ApiClient(options);
  try {
    const overriding = override === undefined ? undefined : await import("./overrides.ts");
    try {
      if (override !== undefined) await overriding!.presentOverrides(api, override);
      await act(api, new Printer(json));
    } catch (error) {
      if (!(error instanceof ApiFailure) || override === undefined) throw error;
      const asked = await overriding!.askForOverride(api, override, reason, error);
      if (asked === undefined) throw error;
      process.stderr.write(`${asked}\n`);
      throw error;
    }
  } catch (error) {
    if (!(error instanceof ApiFailure)) throw error;
    const { problem } = error;
    if (json) {
      process.stdout.write(`${JSON.stringify(problem ?? { title: error.message }, null, 2)}\n`);
    } else {
      process.stderr.write(`${styleText("red", "refused", { stream: process.stderr })}: ${error.message}\n`);
      for (const { text } of (problem?.problems ?? []) as { text: string }[])
        process.stderr.write(`  ${text}\n`);
    }
    process.exitCode = 1;
  }
}

/** The option of every command that a safety rule may refuse. */
export function withOverride(command: Command): Command {
  return command.option("--override <rule>", "break this safety rule on purpose; somebody else has to agree");
}

/** Either JSON, or text for a person. */
export class Printer {
  readonly json: boolean;

  constructor(json: boolean) {
    this.json = json;
  }

  /** @param text what a person is shown in its place */
  say(answer: unknown, text: () => string): void {
    process.stdout.write(this.json ? `${JSON.stringify(answer, null, 2)}\n` : `${text()}\n`);
  }

  /** One of many: a line of JSON each, or of text. */
  line(value: unknown, text: string): void {
    process.stdout.write(`${this.json ? JSON.stringify(value) : text}\n`);
  }

  /** Progress, for people only: on standard error, and on one line where that is a terminal. */
  progress(text: string): void {
    if (this.json) return;
    process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}` : `${text}\n`);
  }

  endProgress(): void {
    if (!this.json && process.stderr.isTTY) process.stderr.write("\n");
  }
}
