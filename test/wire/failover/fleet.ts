/** fleet.yaml and routes.yaml for failover tests, with the parts that they turn. */

export interface FleetOptions {
  /** YAML flow maps. */
  readonly health?: string;
  readonly outlier?: string;
  readonly slowStart?: string;
}

/** Three parts of a fleet in one: units by name with their endpoints, the first is the center. */
export function fleet(
  units: Readonly<Record<string, readonly string[]>>,
  { health, outlier, slowStart }: FleetOptions = {},
): string {
  const names = Object.keys(units);
  const share = Math.floor(1024 / names.length);
  const slots = names.map(
    (name, i) => `${name}: ${i * share}-${i === names.length - 1 ? 1023 : (i + 1) * share - 1}`,
  );
  return `fleet: test
regions: { ${names.map((name) => `r-${name}: {}`).join(", ")} }
units:
${names.map((name, i) => `  ${name}: { region: r-${name}${i === 0 ? ", center: true" : ""} }`).join("\n")}
placement:
  key: [ { header: x-user-id }, { query: uid } ]
  slots: 1024
  map: { ${slots.join(", ")} }
services:
  hall:
    health: ${health ?? "{ path: /healthz, interval: 1s, timeout: 500ms, healthy: 2, unhealthy: 3 }"}
    slowStart: ${slowStart ?? "0s"}
${outlier === undefined ? "" : `    outlier: ${outlier}\n`}    pools:
${names.map((name) => `      ${name}: { stable: [ ${units[name]!.map((u) => JSON.stringify(u)).join(", ")} ] }`).join("\n")}
`;
}

/** Routes hall (nearest, failover all) and cart (sharded, failover reads), each with more fields in YAML flow style. */
export function routes(extra = ""): string {
  const more = extra === "" ? "" : `, ${extra}`;
  return `routes:
  - { name: hall, match: { path: /hall/* }, service: hall, scope: nearest, failover: all${more} }
  - { name: cart, match: { path: /cart/* }, service: hall, scope: sharded, failover: reads${more} }
`;
}

/** A key whose home is the given unit, found by asking the gateway. */
export async function keyOf(
  gateway: { admin(path: string): Promise<Response> },
  unit: string,
  from = 0,
): Promise<string> {
  for (let i = from; i < from + 200; i++) {
    const explained = await gateway.admin(
      `/explain?method=GET&url=${encodeURIComponent(`/cart/x?uid=u${i}`)}`,
    );
    if (((await explained.json()) as { home: string }).home === unit) return `u${i}`;
  }
  throw new Error(`no key of unit ${unit} among 200`);
}
