/** What a change would do, before anybody does it: what differs then, and the safety rules that would refuse it. */
import type { Printer } from "./api-client.ts";
import { brief, paint } from "./tables.ts";

export interface Difference {
  readonly field: string;
  readonly before?: unknown;
  readonly after?: unknown;
}

export interface Preview {
  readonly differences: readonly Difference[];
  readonly violations: readonly {
    readonly rule: string;
    readonly message: string;
    readonly satisfy: string;
    readonly overridable: boolean;
  }[];
}

/** A dry run ends as the command would: with 1 where a rule refuses it. */
export function sayDryRun(print: Printer, preview: Preview): void {
  print.say(preview, () => previewText(preview));
  if (preview.violations.length > 0) process.exitCode = 1;
}

export function previewText({ differences, violations }: Preview): string {
  const lines = violations.map(({ rule, message, satisfy, overridable }) => {
    const way = overridable ? `${satisfy}; or --override ${rule}` : satisfy;
    return `${paint("red", `would be refused by ${rule}`)}: ${message}. To satisfy it: ${way}`;
  });
  return [differencesText(differences), ...lines].join("\n");
}

export function differencesText(differences: readonly Difference[]): string {
  if (differences.length === 0) return "no difference";
  return differences
    .map(({ field, before, after }) => {
      const was = before === undefined ? "" : `${paint("red", brief(before))} `;
      const is = after === undefined ? paint("dim", "(gone)") : paint("green", brief(after));
      return `${paint("bold", field)}: ${was}→ ${is}`;
    })
    .join("\n");
}
