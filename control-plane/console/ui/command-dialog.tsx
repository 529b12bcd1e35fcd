/**
 * Something is about to be changed: what it would do, why, and the button. What was typed stays until it is done or
 * cancelled, through refusals, lost connections and sessions that end.
 */
import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { Problem } from "../data/api.ts";
import { useConsole } from "../data/console.ts";
import type { Violation } from "../data/shapes.ts";
import { useText } from "../text/text.ts";
import { Dialog } from "./dialog.tsx";
import { Field } from "./fields.tsx";
import { problemText, Violations } from "./parts.tsx";

export interface Command {
  readonly method: "POST" | "DELETE";
  readonly path: string;
  readonly body?: Readonly<Record<string, unknown>>;
}

interface Props<T> {
  readonly title: string;
  /** On the button. */
  readonly action: string;
  readonly danger?: boolean;
  readonly wide?: boolean;
  /** Safety rules that would refuse it, as far as is known before it is tried. */
  readonly violations?: readonly Violation[];
  /** What it would do. */
  readonly children: ComponentChildren;
  /** What is sent for a reason; undefined: it cannot be sent yet. */
  readonly command: ((reason: string) => Command) | undefined;
  readonly onDone: (answer: T) => void;
  readonly onClose: () => void;
}

export function CommandDialog<T>({
  title,
  action,
  danger,
  wide,
  violations = [],
  children,
  command,
  onDone,
  onClose,
}: Props<T>) {
  const { api, ambient } = useConsole();
  const text = useText();
  const [reason, setReason] = useState("");
  const [problem, setProblem] = useState<Problem | undefined>();
  const [sending, setSending] = useState(false);
  const [overrides, setOverrides] = useState<readonly string[]>([]);
  const last = useRef({ text: "", key: "" });
  const send = async (): Promise<void> => {
    if (command === undefined || reason.trim() === "" || sending) return;
    const { method, path, body } = command(reason.trim());
    // The same command after a broken connection is the same command.
    const written = JSON.stringify([method, path, body, overrides]);
    if (last.current.text !== written) last.current = { text: written, key: ambient.unique() };
    setSending(true);
    setProblem(undefined);
    try {
      const { key } = last.current;
      onDone(await api.send<T>(method, path, { ...(body === undefined ? {} : { body }), key, overrides }));
    } catch (error) {
      setProblem(error instanceof Problem ? error : new Problem(0, "unknown", String(error)));
    } finally {
      setSending(false);
    }
  };
  return (
    <Dialog title={title} onClose={onClose} {...(wide === undefined ? {} : { wide })}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void send();
        }}
      >
        {children}
        <Field label={text.common.reason} hint={text.common.reasonHint}>
          {(id) => (
            <input
              id={id}
              required
              maxLength={500}
              autocomplete="off"
              value={reason}
              onInput={(event) => setReason(event.currentTarget.value)}
            />
          )}
        </Field>
        {problem === undefined && violations.length > 0 && (
          <div class="refusal">
            <p>{text.problem.violations}</p>
            <Violations of={violations} />
          </div>
        )}
        {problem !== undefined && (
          <Refusal
            problem={problem}
            reason={reason}
            what={title}
            onAsked={(id) => setOverrides([...overrides, id])}
          />
        )}
        <footer>
          <button type="button" onClick={onClose}>
            {text.common.cancel}
          </button>
          <button
            type="submit"
            class={danger === true ? "danger" : "primary"}
            disabled={command === undefined || reason.trim() === "" || sending}
          >
            {action}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

interface RefusalProps {
  readonly problem: Problem;
  readonly reason: string;
  readonly what: string;
  readonly onAsked: (id: string) => void;
}

/** Why it was not done; and where a safety rule forbids it, the way to ask somebody else. */
function Refusal({ problem, reason, what, onAsked }: RefusalProps) {
  const { api } = useConsole();
  const text = useText();
  const [asked, setAsked] = useState<string | undefined>();
  const violations = (problem.details.violations ?? []) as readonly (Violation & { override?: string })[];
  if (problem.kind !== "safety" || violations.length === 0) {
    return (
      <div class="refusal" role="alert">
        {problemText(text, problem)}
      </div>
    );
  }
  const askable = violations.filter(({ override }) => override !== undefined);
  const ask = async (): Promise<void> => {
    const ids: string[] = [];
    try {
      for (const { rule, override } of askable) {
        const body = { rule, digest: override, what, reason: reason.trim() };
        const { id } = await api.send<{ id: string }>("POST", "/v1/overrides", { body });
        onAsked(id);
        ids.push(id);
      }
      setAsked(text.problem.overrideAsked(ids.join(", ")));
    } catch (error) {
      setAsked((error as Error).message);
    }
  };
  return (
    <div class="refusal" role="alert">
      <p>{text.problem.violations}</p>
      <Violations of={violations} />
      {asked !== undefined && <p>{asked}</p>}
      {asked === undefined && askable.length === violations.length && (
        <button type="button" onClick={() => void ask()}>
          {text.problem.askOverride}
        </button>
      )}
    </div>
  );
}
