/** `tidegate drain`, `undrain`, `overlay`: what operators lay over the base for a while. */
import type { Command } from "commander";
import {
  type ApiClient,
  ApiFailure,
  type ApiOptions,
  type Printer,
  runApi,
  withApi,
  withOverride,
} from "./api-client.ts";
import { told } from "./configuration.ts";
import { drainText, untilEmpty } from "./drain-progress.ts";
import { allPages, countOf } from "./pages.ts";
import { type Preview, sayDryRun } from "./previews.ts";
import { paint, span, table } from "./tables.ts";

interface Overlay {
  readonly id: string;
  readonly does: string;
  readonly owner: string;
  readonly reason: string;
  readonly since: number;
  readonly expires?: number;
  readonly change: { readonly kind: string; readonly unit?: string };
  /** A rehearsal's: whom it is for. */
  readonly for?: object;
}

interface Laid {
  readonly revision: { readonly number: number };
  readonly overlay: Overlay;
}

type Given = ApiOptions & {
  readonly reason: string;
  readonly expires?: string;
  readonly supersedes?: string;
  readonly dryRun?: boolean;
};

export function registerOverlays(program: Command): void {
  withReason(program.command("drain"), true)
    .description("give a unit no new work: its requests go elsewhere by degrees, where their routes let them")
    .argument("<unit>", "its name")
    .option("--ramp <duration>", "from nobody moved to everybody moved", "10s")
    .option("--deadline <duration>", "until WebSockets that are open are closed", "5m")
    .option("--wait", "until the unit is empty: nothing is under way there, and nothing comes")
    .option("--timeout <seconds>", "how long to wait, in seconds", "600")
    .addHelpText("after", "\nExample:\n  tidegate drain sh --reason 'kernel update' --expires 2h --wait")
    .action(
      (unit: string, options: Given & { ramp: string; deadline: string; wait?: boolean; timeout: string }) =>
        runApi(options, async (api, print) => {
          const { ramp, deadline } = options;
          const change = { kind: "drain", unit, ramp, deadline };
          if (options.dryRun === true) return sayDryRun(print, await previewed(api, change, options));
          const answer = await lay(api, change, options);
          const { id, since } = answer.overlay;
          const waits = options.wait === true;
          const what = `${unit} is drained over ${ramp} by ${id}`;
          // For scripts all of it is one document.
          if (!waits || !print.json) await told(api, print, answer, answer.revision.number, what);
          if (!waits) return;
          const drain = await untilEmpty(
            api,
            print,
            unit,
            since,
            countOf("--timeout", options.timeout) * 1000,
          );
          print.say(
            { ...answer, drain },
            () => `${drainText(drain)}, ${span(drain.at - since)} after the drain began`,
          );
        }),
    );

  withReason(program.command("undrain"), false)
    .description("give a unit its work back, as slowly as it went")
    .argument("<unit>", "its name")
    .action((unit: string, options: Given) =>
      runApi(options, async (api, print) => {
        const { items: overlays } = await allPages<Overlay>(api, "/v1/overlays", "overlays");
        const found = overlays.find(
          (o) => o.for === undefined && o.change.kind === "drain" && o.change.unit === unit,
        );
        if (found === undefined)
          throw new ApiFailure(`${unit} is not drained; tidegate overlay ls lists what is`);
        await remove(api, print, found.id, options);
      }),
    );

  const overlay = program.command("overlay").description("what differs from the base right now, and why");
  withApi(overlay.command("ls"))
    .description("list overlays")
    .action((options: ApiOptions) =>
      runApi(options, async (api, print) => {
        const { items, answer } = await allPages<Overlay>(api, "/v1/overlays", "overlays");
        print.say(answer, () => overlaysText(items));
      }),
    );
  withReason(overlay.command("rm"), false)
    .description("take an overlay away: what it wrote is the base's again")
    .argument("<id>", "from tidegate overlay ls")
    .action((id: string, options: Given) => runApi(options, (api, print) => remove(api, print, id, options)));
  withReason(overlay.command("add"), true)
    .description("lay an overlay of any kind")
    .argument("<kind>", "drain, drain-endpoint, weight, pin, limit, degrade, mirror or breaker")
    .argument("[field=value...]", "what the kind takes")
    .addHelpText(
      "after",
      `
Examples:
  tidegate overlay add limit limit=writes rate=2000 --reason 'the database is slow' --expires 30m
  tidegate overlay add degrade route=hall --reason 'the hall is down'
  tidegate overlay add breaker service=hall unit=sh state=open --reason 'sh times out' --expires 10m
  tidegate overlay add mirror route=hall service=shop version=canary share=0.01 --reason 'a first look'
  tidegate overlay add pin key=qa-1 unit=sz --reason 'a test'
  tidegate overlay add weight service=hall share=0.05 --reason 'a first look'`,
    )
    .action((kind: string, fields: string[], options: Given) =>
      runApi(options, async (api, print) => {
        const change = { kind, ...Object.fromEntries(fields.map(fieldOf)) };
        if (options.dryRun === true) return sayDryRun(print, await previewed(api, change, options));
        const answer = await lay(api, change, options);
        const { id, does } = answer.overlay;
        await told(api, print, answer, answer.revision.number, `${does} by ${id}`);
      }),
    );
}

function withReason(command: Command, lays: boolean): Command {
  withOverride(withApi(command)).requiredOption("--reason <text>", "why; the audit log keeps it");
  command.option("--dry-run", "only say what it would change, and which safety rules would refuse it");
  if (!lays) return command;
  return command
    .option("--expires <duration>", "after this it is taken away by itself, such as 2h")
    .option("--supersedes <id>", "take the place of the overlay that writes the same");
}

function lay(api: ApiClient, change: object, given: Given): Promise<Laid> {
  return api.call<Laid>("POST", "/v1/overlays", bodyOf(change, given));
}

function previewed(api: ApiClient, change: object, given: Given): Promise<Preview> {
  return api.call<Preview>("POST", "/v1/overlays/preview", bodyOf(change, given));
}

function bodyOf(change: object, { reason, expires, supersedes }: Given): object {
  return {
    ...change,
    reason,
    ...(expires === undefined ? {} : { expires }),
    ...(supersedes === undefined ? {} : { supersedes }),
  };
}

async function remove(api: ApiClient, print: Printer, id: string, { reason, dryRun }: Given): Promise<void> {
  const path = `/v1/overlays/${encodeURIComponent(id)}`;
  if (dryRun === true) return sayDryRun(print, await api.call<Preview>("GET", `${path}/removal`));
  const query = `?reason=${encodeURIComponent(reason)}`;
  const answer = await api.call<{ revision: { number: number } }>("DELETE", `${path}${query}`);
  await told(api, print, answer, answer.revision.number, `${id} is taken away`);
}

/** Numbers are numbers: a name that is one has to be given over the API. */
function fieldOf(text: string): [string, unknown] {
  const at = text.indexOf("=");
  if (at < 1) throw new ApiFailure(`${JSON.stringify(text)} is no field=value`);
  const [name, value] = [text.slice(0, at), text.slice(at + 1)];
  const isNumber =
    ["rate", "burst", "share"].includes(name) && value !== "" && Number.isFinite(Number(value));
  return [name, isNumber ? Number(value) : value];
}

function overlaysText(overlays: readonly Overlay[]): string {
  if (overlays.length === 0) return "no overlays: gateways serve the base as it is";
  const now = Date.now();
  return table(
    ["overlay", "does", "by", "since", "expires", "reason"],
    overlays.map(({ id, does, owner, since, expires, reason }) => [
      id,
      does,
      owner,
      `${span(now - since)} ago`,
      expires === undefined ? paint("dim", "never") : `in ${span(expires - now)}`,
      reason,
    ]),
  );
}
