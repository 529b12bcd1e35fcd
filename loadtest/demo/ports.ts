/** Ports are looked at before anything starts, so that a taken one leaves no half-started demo behind. */
import { type AddressInfo, createServer } from "node:net";

export interface WantedPort {
  readonly port: number;
  /** The flag that chooses another. */
  readonly flag: string;
}

/** @throws Error whose message is one sentence that names the port and what to do */
export async function requireFree(wanted: readonly WantedPort[]): Promise<void> {
  for (const { port, flag } of wanted) {
    try {
      await listenOnce(port);
    } catch (error) {
      throw new Error(portSentence(port, flag, (error as NodeJS.ErrnoException).code));
    }
  }
}

function portSentence(port: number, flag: string, code: string | undefined): string {
  if (code === "EADDRINUSE") {
    return `Port ${port} is taken: end the process that listens on it, or choose another with ${flag} N.`;
  }
  return `Port ${port} cannot be used (${code}): choose another with ${flag} N.`;
}

/** Distinct ports that nobody listens on at this moment. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => listen(0)));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

async function listenOnce(port: number): Promise<void> {
  const server = await listen(port);
  await new Promise((resolve) => server.close(resolve));
}

function listen(port: number): Promise<ReturnType<typeof createServer>> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}
