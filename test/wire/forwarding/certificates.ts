/** Certificates for tests, made with openssl in a directory that ends with the test. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

/** Only `openssl ca` of version 3.0 can sign for the past. */
const CA_CONFIG = `[ca]
default_ca = test
[test]
database = index.txt
new_certs_dir = .
serial = serial.txt
certificate = ca.pem
private_key = ca.key
default_md = sha256
policy = any
[any]
commonName = supplied
`;
const OF_OLD = [
  "-batch",
  "-config",
  "ca.cnf",
  "-startdate",
  "20200101000000Z",
  "-enddate",
  "20200102000000Z",
];

export class Certificates {
  readonly dir: string;
  #count = 0;

  constructor(t: TestContext) {
    this.dir = mkdtempSync(join(tmpdir(), "tidegate-certs-"));
    t.after(() => rmSync(this.dir, { recursive: true, force: true }));
    writeFileSync(join(this.dir, "ca.cnf"), CA_CONFIG);
    writeFileSync(join(this.dir, "index.txt"), "");
    writeFileSync(join(this.dir, "serial.txt"), "01\n");
    this.#openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ca.key");
    this.#openssl(
      "req",
      "-x509",
      "-new",
      "-key",
      "ca.key",
      "-out",
      "ca.pem",
      "-days",
      "2",
      "-subj",
      "/CN=Test CA",
    );
  }

  get ca(): string {
    return readFileSync(join(this.dir, "ca.pem"), "utf8");
  }

  /** @param names such as `DNS:a.test` or `IP:127.0.0.1` · `self` signs itself */
  make(names: string, { expired = false, self = false } = {}): Certificate {
    const name = `c${++this.#count}`;
    writeFileSync(join(this.dir, `${name}.ext`), `subjectAltName=${names}\n`);
    this.#openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", `${name}.key`);
    this.#openssl("req", "-new", "-key", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
    const signer = self
      ? ["-signkey", `${name}.key`]
      : ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
    const out = ["-in", `${name}.csr`, "-extfile", `${name}.ext`, "-out", `${name}.pem`];
    if (expired) this.#openssl("ca", ...OF_OLD, ...out);
    else this.#openssl("x509", "-req", "-days", "2", ...signer, ...out);
    const certFile = join(this.dir, `${name}.pem`);
    const keyFile = join(this.dir, `${name}.key`);
    return { certFile, keyFile, cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8") };
  }

  #openssl(...args: string[]): void {
    execFileSync("openssl", args, { cwd: this.dir, stdio: ["ignore", "ignore", "pipe"] });
  }
}
