/** `tidegate watch`: what happens in the fleet, as it happens. */
import type { Command } from "commander";
import { createParser } from "eventsource-parser";
import { type ApiClient, ApiFailure, type ApiOptions, runApi, withApi } from "./api-client.ts";
import { moment, paint } from "./tables.ts";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 10_000;

export function registerWatch(program: Command): void {
  withApi(program.command("watch"))
    .description("what happens, as it happens, until it is interrupted")
    .option("--after <event>", "begin behind this event, such as 0 for all that is kept")
    .action((options: ApiOptions & { after?: string }) =>
      runApi(options, (api, print) =>
        follow(api, options.after, (line) => print.line(line.event, line.text)),
      ),
    );
}

interface Line {
  readonly event: unknown;
  readonly text: string;
}

/** Connects again and again, and goes on where it was. */
async function follow(api: ApiClient, from: string | undefined, onLine: (line: Line) => void): Promise<void> {
  let after = from;
  let pause = FIRST_PAUSE;
  for (;;) {
    const parser = createParser({
      onEvent: ({ id, event = "", data }) => {
        after = id ?? after;
        pause = FIRST_PAUSE;
        const { at, ...rest } = JSON.parse(data) as { at: number };
        const text = Object.entries(rest).map(([name, value]) => `${name} ${String(value)}`);
        onLine({
          event: { number: Number(id), type: event, at, ...rest },
          text: `${paint("dim", moment(at))} ${event}: ${text.join(", ")}`,
        });
      },
    });
    try {
      for await (const text of api.stream(after === undefined ? "/v1/watch" : `/v1/watch?after=${after}`))
        parser.feed(text);
    } catch (error) {
      // What is refused stays refused; what is gone comes back.
      if (error instanceof ApiFailure && error.problem !== undefined) throw error;
      process.stderr.write(`${paint("dim", (error as Error).message)}\n`);
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(LONGEST_PAUSE, pause * 2);
  }
}
