/** `tidegate figures`: what the fleet did of late, by route, unit and version. */
import { type Command, Option } from "commander";
import { type ApiOptions, runApi, withApi } from "./api-client.ts";
import { paint, table } from "./tables.ts";

interface Figure {
  readonly requests: number;
  readonly rps: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly successShare: number | null;
  readonly errorShare: number | null;
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
}

interface Figures {
  readonly window: string;
  readonly coverage: {
    readonly live: number;
    readonly reported: number;
    readonly silent: readonly string[];
    readonly share: number | null;
    readonly seconds: number;
  };
  readonly total: Figure | null;
  readonly series: readonly (Figure & { route: string; unit: string; version: string })[];
  readonly limits: readonly { limit: string; limited: number }[];
  readonly folded: number;
}

interface FigureOptions extends ApiOptions {
  readonly window: string;
  readonly route?: string;
  readonly unit?: string;
  readonly version?: string;
  readonly traffic: string;
}

/** Turned away, deliberately. */
const TURNED_AWAY = ["limited", "shed", "refused"];
/** Below this much of a window, whoever reads should know. */
const WHOLE = 0.95;

export function registerFigures(program: Command): void {
  withApi(program.command("figures"))
    .description("what the fleet did of late: rates, shares and latencies, by route, unit and version")
    .addOption(
      new Option("--window <span>", "how far back").choices(["10s", "1m", "10m", "1h"]).default("1m"),
    )
    .option("--route <name>", "only this route")
    .option("--unit <name>", "only this unit")
    .addOption(new Option("--version <name>", "only this version").choices(["stable", "canary"]))
    .addOption(new Option("--traffic <kind>", "whose").choices(["users", "stress"]).default("users"))
    .action((options: FigureOptions) =>
      runApi(options, async (api, print) => {
        const { window, route, unit, version, traffic } = options;
        const asked = Object.entries({ window, route, unit, version, traffic }).filter(
          ([, value]) => value !== undefined,
        );
        const query = new URLSearchParams(asked as [string, string][]);
        const figures = await api.call<Figures>("GET", `/v1/figures?${query}`);
        print.say(figures, () => figuresText(figures));
      }),
    );
}

function figuresText({ window, coverage, total, series, limits, folded }: Figures): string {
  const lines = [coverageText(window, coverage)];
  if (total === null) {
    lines.push(`${paint("yellow", "no data")}: nobody knows what was asked in this window`);
    return lines.join("\n");
  }
  lines.push(
    table(
      ["route", "unit", "version", "requests", "/s", "success", "errors", "turned away", "p50", "p95", "p99"],
      [
        ...series.map((s) => [s.route, s.unit === "" ? "-" : s.unit, s.version, ...cells(s)]),
        [paint("bold", "all"), "", "", ...cells(total)],
      ],
    ),
  );
  if (limits.length > 0)
    lines.push(
      table(
        ["limit", "refused"],
        limits.map(({ limit, limited }) => [limit, `${limited}`]),
      ),
    );
  if (folded > 0) lines.push(paint("yellow", `${folded} series found no place and are counted as _other`));
  return lines.join("\n");
}

function coverageText(
  window: string,
  { live, reported, silent, share, seconds }: Figures["coverage"],
): string {
  const text = `${window}: ${reported} of ${live} gateways reported, ${seconds.toFixed(0)} s are known`;
  const missing = silent.length === 0 ? "" : `; silent: ${silent.join(", ")}`;
  const part = share === null || share >= WHOLE ? "" : `; ${Math.round(share * 100)} % of their time`;
  return share === null || share < WHOLE ? paint("yellow", text + part + missing) : text + missing;
}

function cells(figure: Figure): string[] {
  const away = TURNED_AWAY.reduce((sum, outcome) => sum + (figure.outcomes[outcome] ?? 0), 0);
  const errors =
    (figure.errorShare ?? 0) > 0 ? paint("red", share(figure.errorShare)) : share(figure.errorShare);
  return [
    `${figure.requests}`,
    figure.rps < 10 ? figure.rps.toFixed(1) : figure.rps.toFixed(0),
    share(figure.successShare),
    errors,
    away === 0 ? "" : `${away}`,
    ...[figure.p50, figure.p95, figure.p99].map(milliseconds),
  ];
}

/** A part in ten thousand is still seen, and never rounded up to all. */
function share(value: number | null): string {
  if (value === null) return "no data";
  return `${(Math.floor(value * 10_000) / 100).toFixed(2)} %`;
}

function milliseconds(value: number | null): string {
  if (value === null) return "no data";
  return value < 10 ? `${value.toFixed(1)} ms` : `${value.toFixed(0)} ms`;
}
