/** One number of a Prometheus server's, by an instant query (https://prometheus.io/docs/prometheus/latest/querying/api). */
import { type Incoming, post } from "./outbound.ts";

const TIMEOUT = 5_000;

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
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #timeout: number;

  constructor({ url, token, timeout = TIMEOUT }: PrometheusOptions) {
    this.#timeout = timeout;
    this.#url = new URL("api/v1/query", url.href.endsWith("/") ? url.href : `${url.href}/`);
    this.#headers = {
      "content-type": "application/x-www-form-urlencoded",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    };
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
    const timeout = this.#timeout;
    const body = new URLSearchParams({ query, timeout: `${timeout}ms` }).toString();
    return parse(await post({ url: this.#url, body, headers: this.#headers, timeout }));
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

function parse({ status, text }: Incoming): unknown {
  if (status >= 300 && status < 400)
    throw new Error(`it answers ${status}: a redirect, which is not followed`);
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer === "object" && answer !== null) return answer;
  } catch {
    // What it is instead, its status says.
  }
  throw new Error(`it answers ${status} and no JSON`);
}
