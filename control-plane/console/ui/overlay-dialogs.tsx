/** Laying an overlay and taking one away: what it changes is shown before the button works. */
import { useEffect, useState } from "preact/hooks";
import type { OverlayKind } from "../../../model/overlay.ts";
import type { Problem } from "../data/api.ts";
import { useConsole } from "../data/console.ts";
import { useResource } from "../data/resource.ts";
import type { Difference, Names, Preview, ShownOverlay } from "../data/shapes.ts";
import type { Text } from "../text/en.ts";
import { useText } from "../text/text.ts";
import { CommandDialog } from "./command-dialog.tsx";
import { Diff } from "./diff.tsx";
import { Choice, Entry } from "./fields.tsx";
import { Empty, Facts, problemText } from "./parts.tsx";
import { Moment } from "./time.tsx";

type FieldName = keyof Text["overlays"]["field"];
/** Kinds that people lay here; the others are the runbook engine's, or are laid by other means. */
export type LaidKind = keyof Text["overlays"]["kinds"] & OverlayKind;

interface FieldOf {
  readonly name: FieldName;
  /** What it is chosen from; undefined: it is typed. */
  readonly from?: (names: Names) => readonly string[];
  readonly type?: "number";
  readonly first?: string;
  readonly optional?: true;
}

const UNIT: FieldOf = { name: "unit", from: ({ units }) => units };
const SERVICE: FieldOf = { name: "service", from: ({ services }) => services };
const ROUTE: FieldOf = { name: "route", from: ({ routes }) => routes.map(({ name }) => name) };
const SHARE: FieldOf = { name: "share", type: "number", first: "0.1" };

export const KINDS: Readonly<Record<LaidKind, readonly FieldOf[]>> = {
  drain: [UNIT, { name: "ramp", first: "10s" }, { name: "deadline", first: "5m" }],
  "drain-endpoint": [SERVICE, UNIT, { name: "endpoint" }],
  weight: [SERVICE, SHARE],
  pin: [{ name: "key" }, UNIT],
  limit: [
    { name: "limit", from: ({ limits }) => limits },
    { name: "rate", type: "number", optional: true },
    { name: "burst", type: "number", optional: true },
    { name: "mode", from: () => ["", "enforce", "dry-run"], optional: true },
  ],
  degrade: [ROUTE],
  breaker: [SERVICE, UNIT, { name: "state", from: () => ["open", "closed"] }],
  mirror: [ROUTE, SERVICE, { name: "version", from: () => ["stable", "canary"] }, SHARE],
};
const ALWAYS: readonly FieldOf[] = [{ name: "expires", first: "2h", optional: true }];

interface LayProps {
  readonly title: string;
  /** Undefined: it is chosen. */
  readonly kind?: LaidKind;
  /** Fields that are not asked for. */
  readonly given?: Readonly<Partial<Record<FieldName, string>>>;
  readonly onClose: () => void;
}

/** Milliseconds without a key. */
const PAUSE = 350;

export function LayDialog({ title, kind: fixed, given = {}, onClose }: LayProps) {
  const text = useText();
  const { data: names, problem: unread } = useResource<Names>("/v1/fleet");
  const [chosen, setChosen] = useState<LaidKind>(fixed ?? "drain");
  const [typed, setTyped] = useState<Readonly<Partial<Record<FieldName, string>>>>({});
  const fields = [...KINDS[chosen], ...ALWAYS];
  const answerOf = ({ name, from, first }: FieldOf): string =>
    given[name] ?? typed[name] ?? first ?? (names === undefined ? "" : (from?.(names)[0] ?? ""));
  const body: Record<string, unknown> = { kind: chosen };
  for (const field of fields) {
    const value = answerOf(field).trim();
    if (value !== "") body[field.name] = field.type === "number" ? Number(value) : value;
  }
  const isWhole =
    names !== undefined && fields.every((one) => one.optional === true || answerOf(one).trim() !== "");
  const { differences, violations, problem } = usePreview(isWhole ? body : undefined);
  return (
    <CommandDialog
      title={title}
      action={text.overlays.layNow}
      wide
      violations={violations}
      command={
        differences === undefined
          ? undefined
          : (reason) => ({ method: "POST", path: "/v1/overlays", body: { ...body, reason } })
      }
      onDone={onClose}
      onClose={onClose}
    >
      <div class="form">
        {fixed === undefined && (
          <Choice
            label={text.overlays.kind}
            value={chosen}
            options={(Object.keys(KINDS) as LaidKind[]).map(
              (one) => [one, text.overlays.kinds[one]] as const,
            )}
            onChange={(value) => {
              setChosen(value as LaidKind);
              setTyped({});
            }}
          />
        )}
        {fields
          .filter(({ name }) => given[name] === undefined)
          .map((field) => {
            const { name, from } = field;
            const label = text.overlays.field[name];
            const value = answerOf(field);
            const onChange = (next: string): void => setTyped({ ...typed, [name]: next });
            const hint = hintOf(name, text);
            // Where nobody can say what there is, it is typed.
            return from === undefined || (names === undefined && unread !== undefined) ? (
              <Entry key={name} label={label} value={value} onChange={onChange} hint={hint} />
            ) : (
              <Choice
                key={name}
                label={label}
                value={value}
                options={names === undefined ? [] : from(names)}
                onChange={onChange}
              />
            );
          })}
      </div>
      <Previewed differences={differences} problem={problem} />
    </CommandDialog>
  );
}

interface PreviewedProps {
  readonly differences: readonly Difference[] | undefined;
  readonly problem: Problem | undefined;
}

function Previewed({ differences, problem }: PreviewedProps) {
  const text = useText();
  return (
    <>
      <h3>{text.overlays.preview}</h3>
      <p class="note">{text.overlays.previewHint}</p>
      {problem !== undefined ? (
        <div class="refusal" role="alert">
          {problemText(text, problem)}
        </div>
      ) : differences === undefined ? (
        <Empty>–</Empty>
      ) : (
        <Diff of={differences} />
      )}
    </>
  );
}

function hintOf(name: FieldName, text: Text): string {
  if (name === "expires") return text.overlays.expiresHint;
  return name === "ramp" || name === "deadline" ? text.overlays.durationHint : "";
}

/** What an overlay would change, of what was typed last. */
function usePreview(body: Readonly<Record<string, unknown>> | undefined) {
  const { api } = useConsole();
  const written = JSON.stringify(body);
  const [seen, setSeen] = useState<Partial<Preview> & { of?: string; problem?: Problem }>({});
  useEffect(() => {
    if (body === undefined) return;
    const abort = new AbortController();
    const timer = window.setTimeout(async () => {
      try {
        const sent = { body: { ...body, reason: "preview" }, signal: abort.signal };
        setSeen({ of: written, ...(await api.send<Preview>("POST", "/v1/overlays/preview", sent)) });
      } catch (error) {
        if (!abort.signal.aborted) setSeen({ of: written, problem: error as Problem });
      }
    }, PAUSE);
    return () => {
      window.clearTimeout(timer);
      abort.abort();
    };
  }, [written]);
  const isOwn = written !== undefined && seen.of === written;
  const { differences, violations = [], problem } = isOwn ? seen : {};
  return { differences, violations, problem };
}

/** Another change meanwhile may change what this one does. */
const FOLLOW = { follow: true };

interface RemoveProps {
  readonly title?: string;
  readonly overlay: ShownOverlay;
  readonly onClose: () => void;
}

export function RemoveDialog({ title, overlay, onClose }: RemoveProps) {
  const text = useText();
  const { id, does, owner, reason, since } = overlay;
  const { data, problem } = useResource<Preview>(`/v1/overlays/${encodeURIComponent(id)}/removal`, FOLLOW);
  return (
    <CommandDialog
      title={title ?? text.overlays.removeTitle(id)}
      action={text.overlays.removeNow(id)}
      danger
      violations={data?.violations ?? []}
      command={
        data === undefined
          ? undefined
          : (why) => ({ method: "DELETE", path: `/v1/overlays/${id}?reason=${encodeURIComponent(why)}` })
      }
      onDone={onClose}
      onClose={onClose}
    >
      <Facts
        of={[
          [text.overlays.does, does],
          [text.common.owner, owner],
          [text.common.reason, reason],
          [text.common.since, <Moment key="since" at={since} />],
        ]}
      />
      <Previewed differences={data?.differences} problem={problem} />
    </CommandDialog>
  );
}
