/** Who did what. The API gives the oldest first; people want the newest, so it is looked for where the log ends. */
import { useEffect, useState } from "preact/hooks";
import { type Api, Problem } from "../data/api.ts";
import { useConsole } from "../data/console.ts";
import type { AuditEntry, Difference } from "../data/shapes.ts";
import { useStore } from "../data/store.ts";
import { useText } from "../text/text.ts";
import { Diff } from "../ui/diff.tsx";
import { Empty, Heading, Panel, State, Unread } from "../ui/parts.tsx";
import { Moment } from "../ui/time.tsx";

const PAGE = 100;

interface Verification {
  readonly whole: boolean;
  readonly entries: number;
  readonly broken: { readonly number: number; readonly because: string } | null;
}

export function AuditPage() {
  const { api, operations } = useConsole();
  const text = useText();
  const version = useStore(operations.version);
  const [entries, setEntries] = useState<readonly AuditEntry[] | undefined>();
  const [problem, setProblem] = useState<Problem | undefined>();
  const [filter, setFilter] = useState("");
  const [checked, setChecked] = useState<Verification | undefined>();
  const guarded = async (act: () => Promise<void>): Promise<void> => {
    try {
      await act();
      setProblem(undefined);
    } catch (error) {
      if (error instanceof Problem) setProblem(error);
    }
  };
  // What is new is added to what is there.
  useEffect(() => {
    void guarded(async () => {
      const from = entries?.[0]?.number ?? Math.max(0, (await newestOf(api)) - PAGE);
      const added = await read(api, from);
      setEntries((before) => [
        ...added.toReversed().filter(({ number }) => number > (before?.[0]?.number ?? 0)),
        ...(before ?? []),
      ]);
    });
  }, [version]);
  const older = (): Promise<void> =>
    guarded(async () => {
      const least = entries?.at(-1)?.number ?? 1;
      const added = await read(api, Math.max(0, least - 1 - PAGE), Math.min(PAGE, least - 1));
      setEntries([...(entries ?? []), ...added.toReversed()]);
    });
  const check = (): Promise<void> =>
    guarded(async () => setChecked(await api.get<Verification>("/v1/audit/verification")));
  const wanted = (entries ?? []).filter(({ actor, action, target, reason }) =>
    `${actor} ${action} ${target} ${reason}`.toLowerCase().includes(filter.toLowerCase()),
  );
  return (
    <>
      <Heading
        side={
          <>
            {checked !== undefined && (
              <State
                state={checked.whole ? "done" : "failed"}
                word={
                  checked.broken === null
                    ? text.audit.whole(checked.entries)
                    : text.audit.broken(checked.broken.number, checked.broken.because)
                }
              />
            )}
            <button type="button" onClick={() => void check()}>
              {text.audit.check}
            </button>
            <input
              type="search"
              aria-label={text.common.filter}
              placeholder={text.common.filter}
              value={filter}
              onInput={(event) => setFilter(event.currentTarget.value)}
            />
          </>
        }
      >
        {text.audit.title}
      </Heading>
      <p class="lead">{text.audit.about}</p>
      {problem !== undefined && <Unread problem={problem} />}
      <Panel flush>
        {entries === undefined ? (
          <Empty>{text.common.loading}</Empty>
        ) : (
          <ul class="audit">
            {wanted.map((entry) => (
              <Entry key={entry.number} entry={entry} />
            ))}
            {wanted.length === 0 && <Empty>{text.common.nothing}</Empty>}
          </ul>
        )}
        {(entries?.at(-1)?.number ?? 1) > 1 && (
          <button type="button" class="wide" onClick={() => void older()}>
            {text.audit.older}
          </button>
        )}
      </Panel>
    </>
  );
}

function Entry({ entry }: { readonly entry: AuditEntry }) {
  const text = useText();
  const { number, at, actor, from, action, target, reason, before, after } = entry;
  const changes = changesOf(before, after);
  return (
    <li>
      <span class="line">
        <span>
          <small>{number}</small> <b>{actor}</b> <code>{action}</code> {target}
        </span>
        <small>
          <Moment at={at} /> {from !== "" && `· ${from}`}
        </small>
      </span>
      {reason !== "" && <span class="reason">{reason}</span>}
      {changes.length > 0 && (
        <details>
          <summary>{text.audit.details}</summary>
          <Diff of={changes} />
        </details>
      )}
    </li>
  );
}

/** Entries after a number, as many as are asked for at most. */
async function read(api: Api, after: number, limit = 500): Promise<AuditEntry[]> {
  if (limit < 1) return [];
  return (await api.get<{ entries: AuditEntry[] }>(`/v1/audit?after=${after}&limit=${limit}`)).entries;
}

/** Numbers have no gaps: where the log ends is found by halving. */
async function newestOf(api: Api): Promise<number> {
  const isBeyond = async (number: number): Promise<boolean> => (await read(api, number, 1)).length === 0;
  let high = 128;
  while (!(await isBeyond(high)) && high < 2 ** 40) high *= 4;
  let low = 0;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (await isBeyond(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function changesOf(before: string, after: string): Difference[] {
  const [was, is] = [parsed(before), parsed(after)];
  const names = new Set([...Object.keys(was), ...Object.keys(is)]);
  return [...names]
    .filter((name) => JSON.stringify(was[name]) !== JSON.stringify(is[name]))
    .map((name) => ({ field: name, before: was[name], after: is[name] }));
}

function parsed(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
    return value === null ? {} : { value };
  } catch {
    return { value: text };
  }
}
