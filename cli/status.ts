/** `tidegate status`: what holds, who serves it, and what is unlike the base. */
import type { Command } from "commander";
import { type ApiOptions, runApi, withApi } from "./api-client.ts";
import { type Drain, drainText } from "./drain-progress.ts";
import { allPages } from "./pages.ts";
import { moment, paint, span, table } from "./tables.ts";

type Seen<T> = T & { service: string; unit: string; seenBy: number };

interface Gateway {
  readonly gateway: string;
  readonly state: "serves" | "behind" | "refuses" | "silent" | "gone";
  /** Milliseconds since it was heard of. */
  readonly silence: number;
  readonly epoch: number;
  readonly revision: number;
  readonly refused: { revision: number; reasons: string[] } | null;
  readonly rate: number | null;
  readonly inflight: number | null;
  readonly units: number | null;
  readonly unhealthy: readonly string[];
}

interface Status {
  readonly fleet: string | null;
  readonly now: number;
  readonly leads: boolean;
  readonly epoch: number | null;
  readonly revision: { number: number; at: number; author: string; reason: string } | null;
  readonly convergence: { live: number; behind: string[]; refused: string[] };
  readonly units: readonly {
    unit: string;
    region: string;
    healthy: boolean | null;
    drained: number | null;
    drain: object | null;
    inflight: number | null;
    rate: number | null;
    capacity: number | null;
  }[];
  /** What is not as it should be; null where no gateway says anything. */
  readonly views: {
    readonly gateways: number;
    readonly pools: readonly Seen<{ version: string; usable: number; total: number }>[];
    readonly breakers: readonly Seen<{ state: string; forced: string | null }>[];
    readonly limits: { leasing: number; sharing: number };
  } | null;
  readonly overlays: readonly { id: string; does: string; owner: string; reason: string }[];
  readonly drains: readonly Drain[];
  readonly gateways: readonly Gateway[];
  /** Gateways of the next page begin after it. */
  readonly next: string | null;
}

export function registerStatus(program: Command): void {
  withApi(program.command("status"))
    .description("the fleet: units, gateways, and what lies over the base")
    .action((options: ApiOptions) =>
      runApi(options, async (api, print) => {
        const first = await api.call<Status>("GET", "/v1/status");
        const rest =
          first.next === null
            ? []
            : (await allPages<Gateway>(api, "/v1/status", "gateways", undefined, first.next)).items;
        const status = { ...first, gateways: [...first.gateways, ...rest], next: null };
        print.say(status, () => statusText(status));
        if (status.convergence.refused.length > 0) process.exitCode = 1;
      }),
    );
}

function statusText(status: Status): string {
  const { revision, units, gateways, overlays } = status;
  if (revision === null) return "no configuration yet: tidegate apply DIR --reason TEXT";
  const lines = [
    `${paint("bold", status.fleet ?? "")}: revision ${revision.number}, ${moment(revision.at)}, by ${revision.author}: ${revision.reason}`,
    table(
      ["unit", "region", "health", "drained", "under way", "requests/s", "capacity"],
      units.map((u) => [
        u.unit,
        u.region,
        u.healthy === null
          ? paint("dim", "no data")
          : u.healthy
            ? paint("green", "healthy")
            : paint("red", "unhealthy"),
        u.drain === null && (u.drained ?? 0) === 0
          ? ""
          : paint("yellow", `${Math.round((u.drained ?? 0) * 100)} %`),
        number(u.inflight),
        number(u.rate),
        number(u.capacity),
      ]),
    ),
  ];
  if (gateways.length === 0) lines.push("no gateway has connected");
  else {
    lines.push(
      table(
        ["gateway", "state", "heard of", "revision", "requests/s", "under way", "units", ""],
        gateways.map((g) => [
          g.gateway,
          paint(STATE_COLOURS[g.state], g.state),
          `${span(g.silence)} ago`,
          g.revision === revision.number ? `${g.revision}` : paint("yellow", `${g.revision}`),
          number(g.rate),
          number(g.inflight),
          healthText(g),
          g.refused === null
            ? ""
            : paint("red", `refused ${g.refused.revision}: ${g.refused.reasons.join("; ")}`),
        ]),
      ),
    );
  }
  lines.push(...status.drains.map(drainText), ...viewLines(status.views));
  for (const { id, does, owner, reason } of overlays)
    lines.push(`${paint("yellow", id)} ${does}, by ${owner}: ${reason}`);
  return lines.join("\n");
}

const STATE_COLOURS = {
  serves: "green",
  behind: "yellow",
  refuses: "red",
  silent: "red",
  gone: "red",
} as const;

/** Units as one gateway sees them. */
function healthText({ units, unhealthy }: Gateway): string {
  if (units === null) return paint("dim", "no data");
  return unhealthy.length === 0
    ? `${units} healthy`
    : paint("red", `${unhealthy.length} of ${units} unhealthy: ${unhealthy.join(", ")}`);
}

function viewLines(views: Status["views"]): string[] {
  if (views === null) return [];
  const by = (seenBy: number): string => `seen by ${seenBy} of ${views.gateways} gateways`;
  const lines = [
    ...views.pools.map(
      (p) =>
        `${p.service} in ${p.unit}, ${p.version}: ${p.usable} of ${p.total} endpoints usable, ${by(p.seenBy)}`,
    ),
    ...views.breakers.map((b) => {
      const forced = b.forced === null ? "" : `, forced ${b.forced}`;
      return `breaker of ${b.service} in ${b.unit}: ${b.state}${forced}, ${by(b.seenBy)}`;
    }),
  ];
  const { sharing } = views.limits;
  if (sharing > 0)
    lines.push(`fleet limits: Redis does not answer ${sharing} gateways; each takes its share`);
  return lines.map((line) => paint("yellow", line));
}

function number(value: number | null): string {
  return value === null ? "" : `${Math.round(value)}`;
}
