/** A PostgreSQL server that speaks TLS: whom the store believes, and what it says of whom it does not. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { PostgresStore } from "../../../control-plane/store/postgres-store.ts";
import { PASSWORD, startPostgres } from "../../support/postgres.ts";
import { Certificates } from "../../wire/forwarding/certificates.ts";
import { publication } from "./samples.ts";

test("the store works over TLS, and sends nothing in the clear or to a certificate that is another's or nobody's", async (t) => {
  const certificates = new Certificates(t);
  const authority = join(certificates.dir, "ca.pem");
  const server = await startPostgres();
  t.after(() => server.close());
  const open = (query: string): Promise<PostgresStore> =>
    PostgresStore.open({ url: `${server.url}${query}` });
  const verified = `?sslmode=verify-full&sslrootcert=${authority}`;

  await server.speakTls(certificates.make("IP:127.0.0.1"));
  const store = await open(verified);
  t.after(() => store.close());
  await store.commit(publication(1));
  assert.equal(await store.head(), 1);

  const refuses = async (query: string, words: RegExp): Promise<void> => {
    const refusal = await open(query).then(
      () => assert.fail(`connected with ${query}`),
      (error: Error) => error.message,
    );
    assert.match(refusal, words, query);
    assert.ok(!refusal.includes(PASSWORD));
  };
  await refuses("", /no encryption/);
  await refuses("?sslmode=verify-full", /certificate/);
  await server.speakTls(certificates.make("DNS:db.elsewhere.test"));
  await refuses(verified, /127\.0\.0\.1 is not in the cert's list/);
});
