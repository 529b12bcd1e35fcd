/** What people type. */
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

interface Props {
  readonly label: string;
  readonly hint?: string;
  /** @param id of the input that the label is for */
  readonly children: (id: string) => ComponentChildren;
}

export function Field({ label, hint, children }: Props) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children(id)}
      {hint !== undefined && hint !== "" && <small>{hint}</small>}
    </div>
  );
}

interface ChoiceProps {
  readonly label: string;
  readonly hint?: string;
  readonly value: string;
  readonly options: readonly (string | readonly [value: string, label: string])[];
  readonly onChange: (value: string) => void;
}

/** Of many, one is found by typing. */
const MANY = 30;

export function Choice({ label, hint, value, options, onChange }: ChoiceProps) {
  const list = useId();
  const pairs = options.map((option) => (typeof option === "string" ? ([option, option] as const) : option));
  return (
    <Field label={label} {...(hint === undefined ? {} : { hint })}>
      {(id) =>
        pairs.length > MANY ? (
          <>
            <input
              id={id}
              list={list}
              value={value}
              autocomplete="off"
              onInput={(event) => onChange(event.currentTarget.value)}
            />
            <datalist id={list}>
              {pairs.map(([option]) => (
                <option key={option} value={option} />
              ))}
            </datalist>
          </>
        ) : (
          <select id={id} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
            {pairs.map(([option, name]) => (
              <option key={option} value={option}>
                {name}
              </option>
            ))}
          </select>
        )
      }
    </Field>
  );
}

interface EntryProps {
  readonly label: string;
  readonly hint?: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
}

export function Entry({ label, hint, value, onChange }: EntryProps) {
  return (
    <Field label={label} {...(hint === undefined ? {} : { hint })}>
      {(id) => (
        <input
          id={id}
          value={value}
          autocomplete="off"
          onInput={(event) => onChange(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}
