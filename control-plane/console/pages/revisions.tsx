/** What held when, what differs between any two of them, who serves it, and the way back. */
import { useState } from "preact/hooks";
import type { Problem } from "../data/api.ts";
import { useConsole, useMay } from "../data/console.ts";
import { useResource } from "../data/resource.ts";
import type { Preview, Revision } from "../data/shapes.ts";
import { useStore } from "../data/store.ts";
import { useText } from "../text/text.ts";
import { CommandDialog } from "../ui/command-dialog.tsx";
import { Diff } from "../ui/diff.tsx";
import { Empty, Heading, Panel, Unread } from "../ui/parts.tsx";
import { Moment } from "../ui/time.tsx";
import { Convergence, GatewayPanel } from "./fleet.tsx";

const PAGE = 50;

interface Answer {
  readonly revisions: readonly Revision[];
  readonly next: string | null;
}

export function RevisionsPage() {
  const { fleet, api } = useConsole();
  const text = useText();
  const now = useStore(fleet.now);
  const newest = useResource<Answer>(`/v1/revisions?limit=${PAGE}`, { follow: true });
  const [older, setOlder] = useState<readonly Revision[]>([]);
  const [next, setNext] = useState<string | null | undefined>();
  const [problem, setProblem] = useState<Problem | undefined>();
  const [pair, setPair] = useState<readonly [from: number, to: number] | undefined>();
  const [back, setBack] = useState<number | undefined>();
  const isOperator = useMay("operator");
  if (newest.data === undefined) return <Unread problem={newest.problem} reload={newest.reload} />;
  const first = newest.data.revisions;
  const least = first.at(-1)?.number ?? 0;
  const all = [...first, ...older.filter(({ number }) => number < least)];
  const head = all[0]?.number ?? 0;
  const after = next === undefined ? newest.data.next : next;
  const [from, until] = pair ?? [Math.max(1, head - 1), head];
  const more = async (): Promise<void> => {
    try {
      const page = await api.get<Answer>(`/v1/revisions?limit=${PAGE}&after=${after}`);
      setOlder([...older, ...page.revisions]);
      setNext(page.next);
      setProblem(undefined);
    } catch (error) {
      setProblem(error as Problem);
    }
  };
  return (
    <>
      <Heading side={now !== undefined && <Convergence now={now} />}>{text.revisions.title}</Heading>
      <div class="columns left">
        <Panel flush>
          <div class="scroll">
            <table class="revisions">
              <thead>
                <tr>
                  <th scope="col">{text.revisions.from}</th>
                  <th scope="col">{text.revisions.to}</th>
                  <th scope="col" class="number">
                    {text.revisions.number}
                  </th>
                  <th scope="col">{text.common.reason}</th>
                  <th scope="col">{text.revisions.author}</th>
                  <th scope="col">{text.revisions.at}</th>
                  {isOperator && <th scope="col" aria-label={text.revisions.rollback} />}
                </tr>
              </thead>
              <tbody>
                {all.map(({ number, reason, author, at, cause }) => (
                  <tr key={number} class={number === head ? "current" : ""}>
                    <td>
                      <input
                        type="radio"
                        name="from"
                        aria-label={`${text.revisions.from} ${number}`}
                        checked={number === from}
                        onChange={() => setPair([number, until])}
                      />
                    </td>
                    <td>
                      <input
                        type="radio"
                        name="to"
                        aria-label={`${text.revisions.to} ${number}`}
                        checked={number === until}
                        onChange={() => setPair([from, number])}
                      />
                    </td>
                    <td class="number">
                      <b>{number}</b>
                    </td>
                    <td>
                      {reason} <small>{cause}</small>
                      {number === head && <small class="tag">{text.revisions.holds}</small>}
                    </td>
                    <td>{author}</td>
                    <td>
                      <Moment at={at} />
                    </td>
                    {isOperator && (
                      <td class="number">
                        {number !== head && (
                          <button type="button" class="small" onClick={() => setBack(number)}>
                            {text.revisions.rollback}
                          </button>
                        )}
                      </td>
                    )}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          {problem !== undefined && <Unread problem={problem} />}
          {after !== null && (
            <button type="button" class="wide" onClick={() => void more()}>
              {text.revisions.older}
            </button>
          )}
        </Panel>
        <div>
          <Panel title={text.revisions.diffTitle(from, until)}>
            {from === until ? <Empty>{text.revisions.same}</Empty> : <RevisionDiff from={from} to={until} />}
          </Panel>
          {now !== undefined && <GatewayPanel now={now} />}
        </div>
      </div>
      {back !== undefined && (
        <RollbackDialog
          to={back}
          onClose={() => {
            setBack(undefined);
            newest.reload();
          }}
        />
      )}
    </>
  );
}

function RevisionDiff({ from, to }: { readonly from: number; readonly to: number }) {
  const path = `/v1/diff?from=${from}&to=${to}`;
  const { data, problem, reload } = useResource<Pick<Preview, "differences">>(path);
  return data === undefined ? <Unread problem={problem} reload={reload} /> : <Diff of={data.differences} />;
}

interface RollbackProps {
  readonly to: number;
  readonly onClose: () => void;
}

function RollbackDialog({ to, onClose }: RollbackProps) {
  const text = useText();
  const { data, problem, reload } = useResource<Preview>(`/v1/revisions/${to}/rollback`, { follow: true });
  return (
    <CommandDialog
      title={text.revisions.rollbackTitle(to)}
      action={text.revisions.rollbackNow(to)}
      danger
      wide
      violations={data?.violations ?? []}
      command={
        data === undefined
          ? undefined
          : // What was looked at is what is rolled back: another revision meanwhile is a conflict, and is told.
            (reason) => ({
              method: "POST",
              path: "/v1/rollback",
              body: { to, reason, expect: data.revision },
            })
      }
      onDone={onClose}
      onClose={onClose}
    >
      <p class="note">{text.revisions.rollbackHint}</p>
      {data === undefined ? <Unread problem={problem} reload={reload} /> : <Diff of={data.differences} />}
    </CommandDialog>
  );
}
