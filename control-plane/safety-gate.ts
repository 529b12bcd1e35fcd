/**
 * Holds changes against the safety rules, and lets through what a second person has agreed to.
 *
 * An override is asked for by one person, approved by another, and bound to one rule, one change and the revision that it
 * was asked on: when anything else changed meanwhile, it is asked for again. It is used once, and loud in the audit log.
 */
import { createHash } from "node:crypto";
import type { Config } from "../model/config.ts";
import { ALWAYS } from "../model/safety.ts";
import { checkSafety, type Seen, type Violation } from "../model/safety-check.ts";
import type { Actor, Draft } from "./draft.ts";
import type { Gateways } from "./publish/gateways.ts";
import { Refused } from "./refused.ts";
import type { AuditLine, PutDocument, Store } from "./store/store.ts";

/** Document kind. */
export const OVERRIDE = "override";
/** Nobody agrees to what was asked longer ago (ms), nor uses it. */
export const OVERRIDE_LASTS = 3_600_000;

export interface Override {
  readonly id: string;
  readonly rule: string;
  /** Of rule, change and the revision that it was asked on. */
  readonly digest: string;
  /** For people. */
  readonly what: string;
  readonly askedBy: string;
  readonly reason: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly expires: number;
  readonly approvedBy?: string;
  readonly approvalReason?: string;
  /** When it was used. */
  readonly usedAt?: number;
}

/** What is to be done. */
export interface Deed {
  /** Such as `drain`; more than one where a plan does several things at once. */
  readonly actions: readonly string[];
  readonly target: string;
  readonly actor: Actor;
}

/** What is written together with a change that was let through. */
export interface Passage {
  readonly puts: readonly PutDocument[];
  readonly audit: readonly AuditLine[];
}

export class SafetyGate {
  readonly #store: Store;
  readonly #gateways: Gateways;
  readonly #now: () => number;

  /** @param now milliseconds since 1970 */
  constructor(store: Store, gateways: Gateways, now: () => number) {
    this.#store = store;
    this.#gateways = gateways;
    this.#now = now;
  }

  /** @throws Refused that names every rule which is broken, with figures and what would satisfy it */
  async pass(draft: Draft, deed: Deed): Promise<Passage> {
    const violations = this.violations(draft, deed);
    const passage = { puts: [] as PutDocument[], audit: [] as AuditLine[] };
    const left: Violation[] = [];
    for (const violation of violations) {
      const used = violation.overridable ? await this.#overrideFor(violation, draft, deed) : undefined;
      if (used === undefined) left.push(violation);
      else {
        passage.puts.push(used.put);
        passage.audit.push(used.line);
      }
    }
    if (left.length === 0) return passage;
    const shown = left.map((violation) => ({
      ...violation,
      ...(violation.overridable ? { override: digestOf(violation.rule, draft, deed) } : {}),
    }));
    const title = left.map(({ rule, message, satisfy }) => `${rule}: ${message}. To satisfy it: ${satisfy}`);
    throw new Refused("safety", `${title.join("; ")}`, { violations: shown });
  }

  /** Every rule that the change would break. The rules are those of the resulting configuration and of the one before. */
  violations(draft: Draft, { actions }: Deed): Violation[] {
    const before = draft.before?.config;
    // A change that takes its own rule away is still held by it, and one that begins a freeze is not.
    const rules = new Map((before?.safety.rules ?? []).map((rule) => [rule.name, rule]));
    for (const rule of draft.config.safety.rules) {
      if (!rules.has(rule.name) && rule.kind !== "freeze") rules.set(rule.name, rule);
    }
    return checkSafety([...rules.values()], {
      before,
      after: draft.config,
      actions,
      now: this.#now(),
      ...this.#seen(before, draft.config),
    });
  }

  /** What the gateways that live report: a unit is healthy where most of them say so. */
  #seen(
    before: Config | undefined,
    after: Config,
  ): {
    health: Map<string, Seen>;
    versions: Map<string, Seen>;
    load: number | undefined;
  } {
    const reports = this.#gateways.live().flatMap(({ report }) => (report === undefined ? [] : [report]));
    const health = new Map<string, Seen>();
    let load: number | undefined;
    // A unit that goes takes neither its load nor its illness with it.
    const names = new Set([...(before?.fleet.units ?? []), ...after.fleet.units].map((unit) => unit.name));
    for (const name of names) {
      const views = reports.flatMap(({ units }) => units[name] ?? []);
      if (views.length === 0) continue;
      health.set(name, views.filter((v) => v.healthy).length * 2 > views.length);
      load = views.reduce((sum, view) => sum + view.rate, load ?? 0);
    }
    const versions = new Map<string, Seen>();
    for (const key of new Set(reports.flatMap((report) => Object.keys(report.versions ?? {})))) {
      const views = reports.flatMap((report) => report.versions?.[key] ?? []);
      versions.set(key, views.filter(Boolean).length * 2 > views.length);
    }
    return { health, versions, load };
  }

  async #overrideFor(
    { rule }: Violation,
    draft: Draft,
    deed: Deed,
  ): Promise<{ put: PutDocument; line: AuditLine } | undefined> {
    const { actor } = deed;
    const now = this.#now();
    for (const id of actor.overrides) {
      const stored = await this.#store.document(OVERRIDE, id);
      if (stored === undefined) continue;
      const override = JSON.parse(stored.body) as Override;
      if (override.rule !== rule || override.digest !== digestOf(rule, draft, deed)) continue;
      if (override.approvedBy === undefined || override.usedAt !== undefined || override.expires <= now)
        continue;
      if (override.askedBy !== actor.name) continue;
      const used: Override = { ...override, usedAt: now };
      return {
        put: { kind: OVERRIDE, id, body: JSON.stringify(used), expect: stored.version },
        line: {
          at: now,
          actor: actor.name,
          from: actor.from,
          action: "override.use",
          target: `SAFETY RULE ${rule} OVERRIDDEN: ${override.what}`,
          reason: `${override.reason} (approved by ${override.approvedBy}: ${override.approvalReason})`,
          before: stored.body,
          after: JSON.stringify(used),
        },
      };
    }
    return undefined;
  }
}

/** One rule, one change, one state of the fleet. */
function digestOf(rule: string, draft: Draft, { actions, target, actor }: Deed): string {
  const text = JSON.stringify([rule, actions, target, draft.before?.revision.number ?? 0, actor.name]);
  return createHash("sha256").update(text).digest("hex");
}

export function isBuiltIn(rule: string): boolean {
  return rule === ALWAYS.name;
}
