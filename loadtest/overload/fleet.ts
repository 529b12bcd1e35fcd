/** The configuration and the traffic of the overload scenarios: one route for each priority, users of their own. */
import type { LoadClass } from "../load/mix.ts";

/** 10 % critical, 20 % high, 40 % normal, of which one user sends a fifth, and 30 % sheddable. */
export const CLASSES: readonly LoadClass[] = [
  { name: "critical", share: 0.1, path: "/critical/x" },
  { name: "high", share: 0.2, path: "/high/x" },
  { name: "normal", share: 0.32, path: "/normal/x" },
  { name: "greedy", share: 0.08, path: "/normal/x", users: 1 },
  { name: "sheddable", share: 0.3, path: "/sheddable/x" },
];

export interface Layout {
  readonly units: readonly { readonly name: string; readonly url: string }[];
  /** False: as many requests under way to a unit as anybody likes, which is what there was before. */
  readonly protect: boolean;
  /** Requests a second that each unit is said to bear. Default: nothing is said. */
  readonly capacity?: number;
  /** Of an attempt, until the unit begins its answer. Default 2s. */
  readonly headers?: string;
  /** A route's fields more, in YAML flow style, such as `retry: none`. */
  readonly route?: string;
}

export function filesOf({ units, protect, capacity, headers = "2s", route }: Layout) {
  const share = Math.floor(1024 / units.length);
  const slots = units.map(({ name }, i) => {
    const last = i === units.length - 1 ? 1023 : (i + 1) * share - 1;
    return `${name}: ${i * share}-${last}`;
  });
  const fields = [
    ...(capacity === undefined || !protect ? [] : [`capacity: ${capacity}rps`]),
    ...(protect ? [] : ["concurrency: fixed"]),
  ].join(", ");
  const fleet = `fleet: overload
regions: { here: {} }
units:
${units.map(({ name }, i) => `  ${name}: { region: here${i === 0 ? ", center: true" : ""}${fields === "" ? "" : `, ${fields}`} }`).join("\n")}
placement:
  key: [ { header: x-user-id } ]
  slots: 1024
  map: { ${slots.join(", ")} }
services:
  hall:
    health: { path: /healthz, interval: 500ms, timeout: 500ms, healthy: 2, unhealthy: 3 }
    pools:
${units.map(({ name, url }) => `      ${name}: { stable: [ "${url}" ] }`).join("\n")}
`;
  const more = route === undefined ? "" : `, ${route}`;
  const routes = ["critical", "high", "normal", "sheddable"].map(
    (name) =>
      `  - { name: ${name}, match: { path: "/${name}/*" }, service: hall, scope: sharded, priority: ${name}, timeout: { connect: 300ms, headers: ${headers} }${more} }`,
  );
  return { "fleet.yaml": fleet, "routes.yaml": `routes:\n${routes.join("\n")}\n` };
}
