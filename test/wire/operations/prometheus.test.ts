/** What is shipped for Prometheus and Grafana: the rules by promtool, the dashboard's queries by a real Prometheus. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fleetYaml, ROUTES, startGateway, until } from "../../support/gateway.ts";
import { startPrometheus } from "../../support/prometheus.ts";
import { upstream } from "../limits/support.ts";

const ROOT = join(import.meta.dirname, "../../..");
const RULES = join(ROOT, "configs/prometheus/tidegate.rules.yml");

interface Dashboard {
  readonly panels: readonly {
    readonly title: string;
    readonly targets: readonly { readonly expr: string }[];
  }[];
}

test("promtool finds the rules right, and their tests hold", () => {
  for (const args of [
    ["check", "rules", RULES],
    ["test", "rules", join(ROOT, "configs/prometheus/tidegate.test.yml")],
  ]) {
    const { status, stdout, stderr } = spawnSync("promtool", args, { encoding: "utf8", timeout: 60_000 });
    assert.equal(status, 0, `${stdout}${stderr}`);
  }
});

test("a real Prometheus scrapes a gateway, keeps its exemplars, and answers every query of the dashboard", async (t) => {
  const unit = await upstream(t);
  const gateway = await startGateway(
    t,
    {
      "fleet.yaml": fleetYaml({ hz: [unit], sh: ["http://127.0.0.1:9"] }),
      "routes.yaml": ROUTES,
      "gateway.yaml": "tracing: { sample: 100% }\n",
    },
    ["--otlp", "http://127.0.0.1:9"],
  );
  const url = await startPrometheus(t, gateway.adminPort, RULES);
  const query = async (
    path: string,
  ): Promise<{ status: string; error?: string; data: { result: unknown[] } }> =>
    (await (await fetch(`${url}/api/v1/${path}`)).json()) as never;
  const ask = (expr: string) => query(`query?query=${encodeURIComponent(expr)}`);
  // Prometheus finds its targets after five seconds, and a rate asks for more than one scrape.
  let i = 0;
  const traffic = setInterval(() => {
    const headers = { "x-user-id": `u-${i++}` };
    fetch(`${gateway.url}/hall/1`, { headers }).then(
      (answer) => answer.arrayBuffer(),
      () => {},
    );
  }, 50);
  t.after(() => clearInterval(traffic));
  await until(
    "figures",
    () => ask('sum(rate(tidegate_requests_total{route="hall"}[1m])) > 0'),
    ({ data }) => data.result.length > 0,
    15_000,
  );
  const text = readFileSync(join(ROOT, "configs/grafana/tidegate.json"), "utf8");
  const { panels } = JSON.parse(text) as Dashboard;
  assert.ok(panels.length >= 15);
  /** What this fleet does not do: nothing was limited, shed or retried, and no unit was left. */
  const quiet = ["Refused by limits", "Shed", "Retries", "Failover", "Errors by unit", "Breakers"];
  for (const { title, targets } of panels) {
    for (const { expr } of targets) {
      const asked = expr.replaceAll("$__rate_interval", "1m").replaceAll(/\$(job|unit|route)\b/g, ".*");
      const { status, error, data } = await ask(asked);
      assert.equal(status, "success", `${title}: ${error}`);
      if (!quiet.includes(title)) assert.ok(data.result.length > 0, `${title} shows nothing: ${asked}`);
    }
  }
  const names = new Set(
    [...text.matchAll(/tidegate_[a-z_]+/g)].map(([name]) => name.replace(/_bucket$/, "")),
  );
  const documented = readFileSync(join(ROOT, "docs/metrics.md"), "utf8");
  for (const name of names) assert.ok(documented.includes(`\`${name}\``), `there is no ${name}`);
  const exemplars = await until(
    "exemplars",
    () => query(`query_exemplars?query=tidegate_request_duration_seconds_bucket&start=0&end=9999999999`),
    ({ data }) => JSON.stringify(data).includes("trace_id"),
    15_000,
  );
  assert.equal(exemplars.status, "success");
});
