/**
 * The connections of one thread to the endpoints: undici clients, one request each at a time.
 *
 * undici's own Pool keeps an unbounded queue and looks through its clients one by one. Here the caller has already
 * been counted in, so a free client is taken from the top of a stack (the warmest connection) or a new one is made,
 * and nothing ever queues.
 */
import { isIP, type Socket } from "node:net";
import { buildConnector, Client } from "undici";
import type { Endpoint } from "../model/table.ts";

/** Kept shorter than the idle timeouts of common servers (Node's 5 s), so that they rarely close under a request. */
const IDLE_TIMEOUT = 4_000;

export interface Connection {
  readonly client: Client;
  /** In the stack of free connections. */
  free: boolean;
  socket: Socket | undefined;
}

export class EndpointConnections {
  readonly origin: string;
  /** What its connections were made with; another signature needs other connections. */
  readonly signature: string;
  /**
   * What every request names as its server, so that a client's Host can neither choose the name that is verified nor
   * make undici reconnect.
   */
  readonly servername: string;
  readonly #connector: buildConnector.connector;
  readonly #maxHeader: number;
  readonly #free: Connection[] = [];
  #retired = false;

  constructor(endpoint: Endpoint, maxHeader: number) {
    this.origin = endpoint.origin;
    this.signature = signatureOf(endpoint);
    this.#maxHeader = maxHeader;
    const { tls } = endpoint.pool.service.spec;
    const { hostname } = new URL(endpoint.origin);
    const bare = hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
    this.servername = tls.servername ?? bare;
    // An address has no name to send by SNI; Node then verifies it against the certificate's IP entries.
    const sni = isIP(this.servername) === 0 ? this.servername : "";
    const secure = endpoint.origin.startsWith("https:");
    const connect = buildConnector({
      allowH2: false,
      // Our own deadlines bound the connect; this is the last resort.
      timeout: 30_000,
      ...(secure && tls.ca !== undefined ? { ca: tls.ca } : {}),
    });
    this.#connector = (options, callback) =>
      connect(
        secure ? { ...options, servername: sni } : { ...options, servername: undefined as never },
        callback,
      );
  }

  take(): Connection {
    for (let connection = this.#free.pop(); connection !== undefined; connection = this.#free.pop()) {
      connection.free = false;
      if (!connection.client.destroyed && !connection.client.closed) return connection;
    }
    const connection: Connection = {
      client: new Client(this.origin, {
        allowH2: false,
        connect: (options, callback) =>
          this.#connector(options, (...[error, socket]) => {
            connection.socket = (socket ?? undefined) as Socket | undefined;
            callback(...([error, socket] as Parameters<typeof callback>));
          }),
        pipelining: 1,
        keepAliveTimeout: IDLE_TIMEOUT,
        maxHeaderSize: this.#maxHeader,
        // Every wait has a deadline of ours; undici's timers tick at half a second and cost a timer per response.
        headersTimeout: 0,
        bodyTimeout: 0,
      }),
      free: false,
      socket: undefined,
    };
    // A free client whose connection ends is let go; the next request makes a new one.
    connection.client.on("disconnect", () => {
      if (connection.free) this.#drop(connection);
    });
    return connection;
  }

  give(connection: Connection): void {
    if (connection.free || connection.client.destroyed) return;
    if (this.#retired) {
      void connection.client.close();
      return;
    }
    connection.free = true;
    this.#free.push(connection);
  }

  /** Lets free connections go; busy ones end with their request. */
  retire(): void {
    this.#retired = true;
    for (const connection of this.#free.splice(0)) {
      connection.free = false;
      void connection.client.close();
    }
  }

  #drop(connection: Connection): void {
    const at = this.#free.indexOf(connection);
    if (at !== -1) this.#free.splice(at, 1);
    connection.free = false;
    void connection.client.destroy();
  }
}

function signatureOf(endpoint: Endpoint): string {
  return `${endpoint.origin} ${JSON.stringify(endpoint.pool.service.spec.tls)}`;
}

/** All connections of a thread, by endpoint row, kept over table swaps. */
export class Upstreams {
  #byRow = new Map<number, EndpointConnections>();
  readonly #maxHeader: number;

  constructor(maxHeader: number) {
    this.#maxHeader = maxHeader;
  }

  of(endpoint: Endpoint): EndpointConnections {
    const known = this.#byRow.get(endpoint.id);
    if (known !== undefined && known.origin === endpoint.origin) return known;
    known?.retire();
    const made = new EndpointConnections(endpoint, this.#maxHeader);
    this.#byRow.set(endpoint.id, made);
    return made;
  }

  /** Lets go of endpoints that the new table does not have, or whose TLS settings changed. */
  keepOnly(endpoints: Iterable<Endpoint>): void {
    const signatures = new Map<number, string>();
    for (const endpoint of endpoints) signatures.set(endpoint.id, signatureOf(endpoint));
    for (const [row, connections] of this.#byRow) {
      if (signatures.get(row) === connections.signature) continue;
      connections.retire();
      this.#byRow.delete(row);
    }
  }
}
