/**
 * Connections to a PostgreSQL server: few, every wait with a deadline, every failure in the store's words.
 *
 * A server that is gone, frozen, full or read-only is `Unavailable` within seconds, and the next command tries again: a
 * connection that failed is never used twice.
 */
import net from "node:net";
import { Client, type ClientConfig, Pool, type PoolClient, types } from "pg";
import { Conflict, Deposed, storable, Unavailable } from "./store.ts";

/** Milliseconds; the server's own deadlines end first, for its words say more. */
const CONNECT = 2_000;
const STATEMENT = 3_000;
const LOCK = 2_000;
const ANSWER = 4_000;
/** A whole command, with its connection and all its statements. */
const COMMAND = 5_000;
/** Whoever froze within a transaction loses it, and its locks, after this. */
const IDLE_IN_TRANSACTION = 5_000;
const CLOSE = 1_000;

const MOST_CONNECTIONS = 5;
const MOST_WAITING = 200;

/** For moving a store: each statement is quick, but there are many, and the other side takes its time. */
export const LONG = { command: 3_600_000, idle: 60_000 };

/** Serialization failure, deadlock, unique violation: another one was quicker. */
const RACES = new Set(["40001", "40P01", "23505"]);

/** With `?` for values, as in SQLite; no statement here has another use for that sign. */
export type Query = <R = Record<string, unknown>>(
  sql: string,
  values?: readonly (string | number)[],
) => Promise<R[]>;

interface Limits {
  readonly command: number;
  readonly idle?: number;
}

export class PostgresConnections {
  /** Host and database, without credentials. */
  readonly where: string;
  readonly #config: ClientConfig;
  readonly #password: string;
  readonly #pool: Pool;
  readonly #sockets = new Set<net.Socket>();
  #closed: Promise<void> | undefined;

  /** @throws Unavailable when the address is none */
  constructor(url: string) {
    this.#config = {
      connectionString: url,
      connectionTimeoutMillis: CONNECT,
      statement_timeout: STATEMENT,
      lock_timeout: LOCK,
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION,
      query_timeout: ANSWER,
      keepAlive: true,
      fallback_application_name: "tidegate",
      types: { getTypeParser: parserOf },
      stream: () => this.#socket(),
    };
    try {
      const { host, port, database, password } = new Client({ connectionString: url });
      this.where = `${host.includes(":") ? `[${host}]` : host}:${port}/${database ?? ""}`;
      this.#password = typeof password === "string" ? password : "";
    } catch {
      // What the parser says may hold the address, and the password in it.
      throw new Unavailable("the address of the PostgreSQL server is no postgres:// address");
    }
    this.#pool = new Pool({ ...this.#config, max: MOST_CONNECTIONS, idleTimeoutMillis: 60_000 });
    // One that dies while nobody uses it is taken out of the pool; unheard, its error would end the process.
    this.#pool.on("error", () => {});
    this.#pool.on("connect", (client) => client.on("error", () => {}));
  }

  /** A connection outside of the pool, not connected yet; `destroy` ends it without waiting for the server. */
  single(): { client: Client; destroy: () => void } {
    let socket: net.Socket | undefined;
    const client = new Client({
      ...this.#config,
      stream: () => {
        socket = this.#socket();
        return socket;
      },
    });
    return { client, destroy: () => void socket?.destroy() };
  }

  /** One statement by itself. @throws Unavailable */
  async read<R>(sql: string, values: readonly (string | number)[] = []): Promise<R[]> {
    return this.#use((query) => query<R>(sql, values), "cannot read from", { command: COMMAND });
  }

  /**
   * One transaction, on the disk when it returns, whatever the server's or the database's default is.
   *
   * @throws Conflict · Deposed · Unavailable
   */
  async write<T>(work: (query: Query) => Promise<T>, limits: Limits = { command: COMMAND }): Promise<T> {
    let sent = false;
    const act = async (query: Query, client: PoolClient): Promise<T> => {
      await query(
        `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL synchronous_commit TO on${idle(limits)}`,
      );
      const result = await work(query);
      sent = true;
      await commit(client);
      return result;
    };
    try {
      return await this.#use(act, "cannot write to", limits);
    } catch (error) {
      if (!sent || !(error instanceof Lost)) throw error;
      throw new Unavailable(
        `${error.message}; it is not known whether this was written: look before trying again`,
      );
    }
  }

  /** Statements that all see the same moment. @throws Unavailable */
  async *snapshot<T>(work: (query: Query) => AsyncIterable<T>): AsyncGenerator<T> {
    const client = await this.#connect("cannot read from");
    try {
      const query = queryOf(client);
      await query(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY${idle(LONG)}`);
      yield* work(query);
    } catch (error) {
      throw this.#failure(error, "cannot read from");
    } finally {
      // Ends the transaction too, wherever it stopped.
      client.release(true);
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE);
    });
    await Promise.race([this.#pool.end(), late]);
    clearTimeout(timer);
    // A frozen server says no goodbye.
    for (const socket of this.#sockets) socket.destroy();
  }

  async #use<T>(
    work: (query: Query, client: PoolClient) => Promise<T>,
    doing: string,
    limits: Limits,
  ): Promise<T> {
    const client = await this.#connect(doing);
    let isReleased = false;
    const release = (broken: boolean): void => {
      if (!isReleased) client.release(broken);
      isReleased = true;
    };
    let timer: NodeJS.Timeout | undefined;
    try {
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error("the server takes too long")), limits.command);
      });
      const result = await Promise.race([work(queryOf(client), client), late]);
      release(false);
      return result;
    } catch (error) {
      // The server ended the statement, or we refused: the connection itself is well, once it is rolled back.
      if (isRefusal(error) || isEnded(error)) {
        await client.query("ROLLBACK").then(
          () => release(false),
          () => release(true),
        );
      }
      release(true);
      throw this.#failure(error, doing);
    } finally {
      clearTimeout(timer);
    }
  }

  async #connect(doing: string): Promise<PoolClient> {
    if (this.#pool.waitingCount >= MOST_WAITING) {
      throw new Unavailable(`${doing} ${this.where}: ${MOST_WAITING} commands wait for it already`);
    }
    try {
      return await this.#pool.connect();
    } catch (error) {
      throw this.#failure(error, doing);
    }
  }

  #socket(): net.Socket {
    const socket = new net.Socket();
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    return socket;
  }

  /** In the store's words, for people, and without the password. */
  #failure(error: unknown, doing: string): Error {
    if (isRefusal(error) || error instanceof Unavailable) return error;
    const { code, message } = error as Error & { code?: string };
    let text = message === "" || message === undefined ? (code ?? "it does not answer") : message;
    if (this.#password !== "") text = text.replaceAll(this.#password, "***");
    if (RACES.has(code ?? "")) return new Conflict(`something else was written meanwhile: ${text}`);
    const words = `${doing} ${this.where}: ${text}`;
    return isEnded(error) ? new Unavailable(words) : new Lost(words);
  }
}

/** Nobody said how it ended: the connection broke, or the answer did not come in time. */
class Lost extends Unavailable {}

function isRefusal(error: unknown): error is Conflict | Deposed {
  return error instanceof Conflict || error instanceof Deposed;
}

/** Whether the server said that it did not do it. One that shuts down (57P…) may have done it all the same. */
function isEnded(error: unknown): boolean {
  const { code, severity } = error as { code?: string; severity?: string };
  return severity === "ERROR" && code !== undefined && !/^(08|57P)/.test(code);
}

/**
 * A server with standbys that do not answer commits by itself, warns, and says COMMIT: then it is on one disk only, and
 * lost when a standby takes over.
 */
async function commit(client: PoolClient): Promise<void> {
  let warning: string | undefined;
  const onNotice = ({
    severity,
    message,
  }: {
    severity?: string | undefined;
    message?: string | undefined;
  }): void => {
    if (severity === "WARNING") warning = message;
  };
  client.on("notice", onNotice);
  try {
    await client.query("COMMIT");
  } finally {
    client.off("notice", onNotice);
  }
  if (warning !== undefined) throw new Error(warning);
}

function queryOf(client: PoolClient): Query {
  return async <R>(sql: string, values: readonly (string | number)[] = []) => {
    const kept = values.map((value) => (typeof value === "string" ? storable(value) : value));
    let count = 0;
    const numbered = sql.replaceAll("?", () => `$${++count}`);
    // Without values in the simple protocol, which takes several statements at once.
    const result = await (kept.length === 0 ? client.query(sql) : client.query(numbered, kept));
    return result.rows as R[];
  };
}

function idle({ idle: milliseconds }: Limits): string {
  return milliseconds === undefined
    ? ""
    : `; SET LOCAL idle_in_transaction_session_timeout TO ${milliseconds}`;
}

/** Numbers of 64 bits as numbers: they count milliseconds and rows, and stay far below 2^53. */
const parserOf: typeof types.getTypeParser = (oid: number, format?: "text" | "binary") =>
  // biome-ignore lint/suspicious/noExplicitAny: the types of pg know a parser for each format only.
  oid === 20 ? (Number as any) : types.getTypeParser(oid, format as any);
