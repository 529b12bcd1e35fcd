/** One number of a Prometheus server's, by an instant query (https://prometheus.io/docs/prometheus/latest/querying/api). */

const TIMEOUT = 5_000;
const MOST_ANSWER = 64 * 1024;

export interface PrometheusOptions {
  /** Below which `/api/v1/query` stands. */
  readonly url: URL;
  /** Undefined: it asks for none. */
  readonly token: string | undefined;
  /** Milliseconds, of all of one answer. */
  readonly timeout?: number;
}

/** @returns what is wrong with an address, or undefined */
export function wrongPrometheus(text: string): string | undefined {
  const url = URL.parse(text);
  const isWeb = url !== null && (url.protocol === "http:" || url.protocol === "https:");
  if (isWeb && url.username === "" && url.password === "") return undefined;
  const way = "expected http://HOST:PORT; a password stands in TIDEGATE_PROMETHEUS_TOKEN";
  return `--prometheus is no such address; ${way}`;
}

export class Prometheus {
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;

  readonly #timeout: number;

  constructor({ url, token, timeout = TIMEOUT }: PrometheusOptions) {
    this.#timeout = timeout;
    const base = url.href.endsWith("/") ? url.href : `${url.href}/`;
    this.#url = new URL("api/v1/query", base).href;
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  /**
   * @returns undefined where there is no sample, or none that is a number
   * @throws Error when there was no answer, when it refuses the query, or when the query has more than one number
   */
  async number(query: string): Promise<number | undefined> {
    const answer = await this.#ask(query);
    const { status, data, error } = answer as Answer;
    if (status !== "success" || data === undefined) throw new Error(`it says: ${`${error}`.slice(0, 200)}`);
    if (data.resultType === "scalar") return numberOf(data.result as Sample);
    if (data.resultType !== "vector")
      throw new Error(`the query is a ${data.resultType}; expected one number`);
    const series = data.result as readonly { readonly value: Sample }[];
    if (series.length > 1) {
      throw new Error(`the query has ${series.length} series; expected one number, such as sum(…)`);
    }
    return series.length === 0 ? undefined : numberOf(series[0]!.value);
  }

  async #ask(query: string): Promise<unknown> {
    let response: Response;
    try {
      response = await fetch(this.#url, {
        method: "POST",
        body: new URLSearchParams({ query, timeout: `${this.#timeout}ms` }),
        headers: this.#headers,
        redirect: "error",
        signal: AbortSignal.timeout(this.#timeout),
      });
      return parse(await textOf(response), response.status);
    } catch (error) {
      throw reasonOf(error as Error, this.#timeout);
    }
  }
}

type Sample = readonly [at: number, value: string];

interface Answer {
  readonly status?: string;
  readonly data?: { readonly resultType: string; readonly result: unknown };
  readonly error?: string;
}

function numberOf([, text]: Sample): number | undefined {
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

async function textOf({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.length;
    if (size > MOST_ANSWER) throw new Error(`it answers with more than ${MOST_ANSWER} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parse(text: string, status: number): unknown {
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer === "object" && answer !== null) return answer;
  } catch {
    // What it is instead, its status says.
  }
  throw new Error(`it answers ${status} and no JSON`);
}

/** `fetch` says the same of everything, and hides why. */
function reasonOf(error: Error, timeout: number): Error {
  if (error.name === "TimeoutError") return new Error(`no answer in ${timeout} ms`);
  const { cause } = error as { cause?: { code?: string; message?: string } };
  return cause === undefined ? error : new Error(cause.code ?? cause.message ?? error.message);
}
