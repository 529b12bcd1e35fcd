/** Replays an access log against a routing that is proposed: streaming, so that its size is nobody's memory. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { StringDecoder } from "node:string_decoder";
import { type Replayed, Replay } from "../model/replay/replay.ts";
import { configFrom } from "../model/snapshot.ts";
import { compileTable } from "../model/table.ts";
import { ApiFailure, type Printer } from "./api-client.ts";
import { moment, paint, table } from "./tables.ts";

/** What decides where requests go; of what would hold, only what is different. */
export interface Routing {
  readonly before: Readonly<Record<string, string>>;
  readonly after: Readonly<Record<string, string>>;
  readonly unhealthy: readonly string[];
}

export interface ReplayedLog extends Replayed {
  readonly log: string;
  /** Of all requests, those that the log keeps; its figures are divided by it. */
  readonly sample: number;
  /** Unit → requests per second that it bears. */
  readonly capacities: Readonly<Record<string, number>>;
}

const CHUNK = 1_024 * 1_024;
/** Bytes after which progress is told. */
const TELLS = 64 * CHUNK;
const MOST_UNITS = 20;

/** @throws ApiFailure when there is no such log, or no line of it means anything */
export async function replayLog(log: string, routing: Routing, print: Printer): Promise<ReplayedLog> {
  const before = configFrom(new Map(Object.entries(routing.before)));
  const after = configFrom(new Map(Object.entries({ ...routing.before, ...routing.after })));
  const replay = new Replay({
    before: compileTable(before),
    after: compileTable(after),
    unhealthy: new Set(routing.unhealthy),
  });
  // A log is whatever bytes clients sent: what is no UTF-8 is garbage in its own line alone.
  const decoder = new StringDecoder("utf8");
  let [read, told] = [0, 0];
  try {
    const { size } = await stat(log);
    for await (const chunk of createReadStream(log, { highWaterMark: CHUNK })) {
      replay.push(decoder.write(chunk as Buffer));
      read += (chunk as Buffer).length;
      if (read - told < TELLS) continue;
      told = read;
      print.progress(`replayed ${Math.round(read / CHUNK)} of ${Math.round(size / CHUNK)} MiB`);
    }
    if (told > 0) print.endProgress();
  } catch (error) {
    throw new ApiFailure(
      `${log} cannot be read (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`,
    );
  }
  replay.push(decoder.end());
  const replayed = replay.end();
  if (replayed.requests === 0) {
    const [first] = replayed.examples;
    const example = first === undefined ? "" : `; line ${first.line} begins ${JSON.stringify(first.text)}`;
    throw new ApiFailure(
      `${log} has no request that could be replayed in ${replayed.lines} lines${example}; expected our access log, or nginx's combined format`,
    );
  }
  const capacities = Object.fromEntries(
    after.fleet.units.flatMap(({ name, capacity }) => (capacity === undefined ? [] : [[name, capacity]])),
  );
  return { log, sample: replayed.isOwn ? before.gateway.accessLog.sample || 1 : 1, capacities, ...replayed };
}

export function replayText(replayed: ReplayedLog): string {
  const { log, requests, from, to, units, moved, users, failing, sample, capacities } = replayed;
  const seconds = Math.max(1, (to! - from!) / 1_000);
  const rate = (count: number): string => `${(count / seconds / sample).toFixed(1)}`;
  const about = users.isExact ? "" : "about ";
  const lines = [
    paint("bold", `${log}: ${requests} requests from ${moment(from!)} to ${moment(to!)}`),
    `${about}${users.moved} of ${about}${users.all} users would move (${percent(users.moved, users.all)}), and ${moved.requests} of their requests (${percent(moved.requests, requests)})`,
  ];
  const rows = units
    .filter((unit) => unit.before + unit.after > 0)
    .slice(0, MOST_UNITS)
    .map(({ unit, before, after, peak }) => {
      const bears = capacities[unit];
      const most = `${(peak / sample).toFixed(1)}`;
      const isOver = bears !== undefined && peak / sample > bears;
      return [
        unit,
        rate(before),
        rate(after),
        percent(after, requests),
        isOver ? paint("red", most) : most,
        bears === undefined ? "not said" : `${bears}`,
      ];
    });
  lines.push(table(["unit", "rps in the log", "then", "of all", "in its busiest minute", "bears"], rows));
  if (moved.ways.length > 0) {
    const ways = moved.ways.map(({ from: was, to: is, requests: count }) => [
      was || "nobody",
      is || "nobody",
      `${count}`,
      percent(count, requests),
    ]);
    lines.push(table(["from", "to", "requests", "of all"], ways));
  }
  if (failing.after > 0)
    lines.push(
      paint("red", `${failing.after} requests would find no unit; ${failing.before} find none as it is`),
    );
  return [...lines, ...notesOf(replayed)].join("\n");
}

function notesOf({
  garbage,
  examples,
  lines,
  others,
  unplaced,
  byClient,
  sample,
  users,
}: ReplayedLog): string[] {
  const notes: string[] = [];
  if (garbage > 0) {
    notes.push(
      paint("yellow", `${garbage} of ${lines} lines are no line of a log and were left out; such as`),
    );
    for (const { line, text } of examples) notes.push(`  ${line}: ${text}`);
  }
  if (others > 0) notes.push(`${others} lines of stress traffic, or of what no route took, were left out`);
  if (unplaced > 0)
    notes.push(
      paint("yellow", `${unplaced} requests belong to no route or slot of this fleet, and were left out`),
    );
  if (byClient > 0)
    notes.push(`of ${byClient} requests the log does not name the user: their client's address stands in`);
  if (sample < 1) notes.push(`the log keeps ${sample * 100} % of the requests: rates are scaled`);
  notes.push("routes to the nearest unit are decided from no region, in the order of fleet.yaml");
  if (!users.isExact)
    notes.push("there are too many users to be counted one by one: their numbers are estimates, within 2 %");
  return notes;
}

function percent(part: number, whole: number): string {
  return whole === 0 ? "0 %" : `${((part / whole) * 100).toFixed(1)} %`;
}
