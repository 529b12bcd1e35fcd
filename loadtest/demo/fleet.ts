/** The demo's fleet, read from the very configuration that the gateway follows. */
import { cp, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";

export interface DemoEndpoint {
  /** The key that kills it. */
  readonly letter: string;
  readonly unit: string;
  readonly service: string;
  readonly version: string;
  readonly port: number;
}

export interface DemoUnit {
  readonly name: string;
  /** The key that kills it. */
  readonly digit: string;
  readonly center: boolean;
  readonly endpoints: readonly DemoEndpoint[];
}

interface FleetFile {
  readonly units: Readonly<Record<string, { readonly center?: boolean }>>;
  readonly services: Readonly<
    Record<string, { readonly pools: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> }>
  >;
}

/** `h` hangs, `s` makes slow, `r` and `n` release, and `q` quits. */
const LETTERS = "abcdefgijklmoptuvwxyz";

/** One process for each address, also where services share it. Letters go to stable endpoints first. */
export async function readFleet(directory: string): Promise<readonly DemoUnit[]> {
  const file = parse(await readFile(join(directory, "fleet.yaml"), "utf8")) as FleetFile;
  const seen = new Map<number, DemoEndpoint>();
  for (const wanted of ["stable", "canary"]) {
    for (const unit of Object.keys(file.units)) {
      for (const [service, { pools }] of Object.entries(file.services)) {
        for (const address of pools[unit]?.[wanted] ?? []) {
          const port = Number(new URL(address).port);
          const letter = LETTERS[seen.size] ?? "";
          if (!seen.has(port)) seen.set(port, { letter, unit, service, version: wanted, port });
        }
      }
    }
  }
  return Object.entries(file.units).map(([name, { center = false }], index) => {
    const endpoints = [...seen.values()].filter(({ unit }) => unit === name);
    return { name, digit: String(index + 1), center, endpoints };
  });
}

/** A copy of the configuration in a temporary directory, in which the endpoints have other ports. */
export async function copyWithPorts(directory: string, ports: ReadonlyMap<number, number>): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), "tidegate-demo-"));
  await cp(directory, copy, { recursive: true });
  for (const name of await readdir(copy, { recursive: true })) {
    if (!name.endsWith(".yaml")) continue;
    const text = await readFile(join(copy, name), "utf8");
    await writeFile(join(copy, name), replacePorts(text, ports));
  }
  return copy;
}

export function replacePorts(text: string, ports: ReadonlyMap<number, number>): string {
  return text.replace(/(https?:\/\/[\w.-]+:)(\d+)/g, (whole, host: string, port: string) => {
    const other = ports.get(Number(port));
    return other === undefined ? whole : `${host}${other}`;
  });
}
