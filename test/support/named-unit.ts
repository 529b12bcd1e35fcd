/** A unit that answers its own name. */
import http from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

/** @returns its address: another one each time */
export async function namedUnit(t: TestContext, name: string): Promise<string> {
  const server = http.createServer((request, response) => {
    request.resume();
    response.end(name);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
