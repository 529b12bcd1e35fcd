/** HTTPS units are verified, always, and nothing that a client says changes whom. */
import assert from "node:assert/strict";
import { once } from "node:events";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { fleetYaml, startGateway } from "../../support/gateway.ts";
import { Certificates, type Certificate } from "./certificates.ts";
import { ask, problemOf } from "./support.ts";

test("HTTPS units", async (t) => {
  const certificates = new Certificates(t);
  const names: (string | false)[] = [];
  const serve = async (certificate: Certificate): Promise<string> => {
    const server = https.createServer(
      { cert: certificate.cert, key: certificate.key },
      (request, response) => {
        names.push((request.socket as unknown as { servername: string | false }).servername);
        response.end(request.headers.host);
      },
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
      server.close();
      server.closeAllConnections();
    });
    return `${(server.address() as AddressInfo).port}`;
  };
  const services: Record<
    string,
    { certificate: Certificate; host?: string; servername?: string; ca?: boolean }
  > = {
    name: { certificate: certificates.make("DNS:localhost"), host: "localhost" },
    address: { certificate: certificates.make("IP:127.0.0.1") },
    given: { certificate: certificates.make("DNS:unit.test"), servername: "unit.test" },
    wrong: { certificate: certificates.make("DNS:unit.test") },
    other: { certificate: certificates.make("DNS:unit.test,IP:127.0.0.1"), servername: "other.test" },
    expired: { certificate: certificates.make("IP:127.0.0.1", { expired: true }) },
    self: { certificate: certificates.make("IP:127.0.0.1", { self: true }) },
    stranger: { certificate: certificates.make("IP:127.0.0.1"), ca: false },
  };
  let fleet = "";
  let routes = "routes:\n";
  for (const [name, { certificate, host = "127.0.0.1", servername, ca = true }] of Object.entries(services)) {
    const policy = [ca ? "ca: ca.pem" : "", servername === undefined ? "" : `servername: ${servername}`]
      .filter(Boolean)
      .join(", ");
    fleet += `  ${name}:\n    health: none\n    tls: { ${policy} }\n    pools: { hz: { stable: [ "https://${host}:${await serve(certificate)}" ] } }\n`;
    routes += `  - { name: ${name}, match: { path: /${name} }, service: ${name}, scope: nearest, retry: none }\n`;
  }
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: ["http://127.0.0.1:1"] }) + fleet,
    "routes.yaml": routes,
    "ca.pem": certificates.ca,
  });

  for (const [name, sni] of [
    ["name", "localhost"],
    ["address", false],
    ["given", "unit.test"],
  ] as const) {
    await t.test(`${name}: verified, and the client's Host is passed on and chooses nothing`, async () => {
      for (const host of ["unit.test", "wrong.test", "localhost"]) {
        names.length = 0;
        const answer = await ask(gateway.port, { path: `/${name}`, headers: { host } });
        assert.equal(answer.status, 200, answer.text);
        assert.equal(answer.text, host);
        assert.deepEqual(names, [sni]);
      }
    });
  }
  for (const name of ["wrong", "other", "expired", "self", "stranger"]) {
    await t.test(`${name}: refused`, async () => {
      for (const host of ["unit.test", "127.0.0.1", "localhost"]) {
        const answer = await ask(gateway.port, { path: `/${name}`, headers: { host } });
        assert.equal(answer.status, 502);
        assert.equal(problemOf(answer), "upstream-refused");
      }
    });
  }
});
