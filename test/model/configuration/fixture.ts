import { readConfig } from "../../../model/configuration/read-config.ts";
import type { Config } from "../../../model/config.ts";

/** The smallest files that say everything a case needs; each case replaces a part. */
export const FLEET = `fleet: tiny
regions: { east: {}, west: { near: [east] } }
units:
  a: { region: east, center: true }
  b: { region: west }
placement:
  key: [ { header: X-User } ]
  map: { a: 0-511, b: 512-1023 }
services:
  app:
    pools:
      a: { stable: [ "http://10.0.0.1:80" ] }
      b: { stable: [ "http://10.0.0.2:8080/" ] }
`;
export const ROUTES = `routes:
  - name: home
    match: { path: /home/* }
    service: app
    scope: sharded
limits:
  slow: { rate: 90/m }
`;

export type Files = Readonly<Record<string, string>>;

export function read(files: Files) {
  const all: Files = { "fleet.yaml": FLEET, "routes.yaml": ROUTES, ...files };
  return readConfig((name) => (Object.hasOwn(all, name) ? all[name] : undefined));
}

/** `file:line:column: code`, as the tables of expectations have it. */
export function places(files: Files): string[] {
  return read(files).problems.map((p) => `${p.file}:${p.line}:${p.column}: ${p.code}`);
}

export function valid(files: Files): Config {
  const { config, problems } = read(files);
  if (config === undefined)
    throw new Error(problems.map((p) => `${p.file}:${p.line}: ${p.message}`).join("\n"));
  return config;
}
