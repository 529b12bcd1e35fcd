/** A fleet of a size that people have: what a change of it weighs counts. */

export interface FleetSize {
  readonly units: number;
  readonly services: number;
  readonly routes: number;
}

/** @param mark what the one change of a run is: another rate of one limit */
export function fleetFiles(
  { units, services, routes }: FleetSize,
  mark: number,
  origin: string,
): Record<string, string> {
  const names = Array.from({ length: units }, (_, i) => `u${i}`);
  const slots = 1_024;
  const map = names.map((name, i) => {
    const from = Math.floor((i * slots) / units);
    return `${name}: ${from}-${Math.floor(((i + 1) * slots) / units) - 1}`;
  });
  const pools = names.map((name) => `      ${name}: { stable: [ "${origin}" ] }`).join("\n");
  return {
    "fleet.yaml": `fleet: convergence
regions: { r: {} }
units:
${names.map((name, i) => `  ${name}: { region: r${i === 0 ? ", center: true" : ""}, capacity: 10000rps }`).join("\n")}
placement: { key: [ { header: x-user-id } ], slots: ${slots}, map: { ${map.join(", ")} } }
services:
${Array.from({ length: services }, (_, s) => `  s${s}:\n    health: none\n    pools:\n${pools}`).join("\n")}
`,
    "routes.yaml": `routes:
${Array.from({ length: routes }, (_, r) => `  - { name: r${r}, match: { path: /r${r}/* }, service: s${r % services}, scope: nearest, limits: [ all ] }`).join("\n")}
  - { name: mark, match: { path: /mark/${mark} }, service: s0, scope: nearest }
limits:
  all: { rate: ${100_000 + mark}/s, burst: 200000 }
`,
  };
}
