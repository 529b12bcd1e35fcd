/** A question that has to be answered before anything else goes on. The browser keeps the focus in it. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { useText } from "../text/text.ts";

interface Props {
  readonly title: string;
  readonly children: ComponentChildren;
  /** Undefined: it cannot be closed. */
  readonly onClose?: () => void;
  readonly wide?: boolean;
}

export function Dialog({ title, children, onClose, wide = false }: Props) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  const text = useText();
  useEffect(() => {
    const before = document.activeElement;
    element.current?.showModal();
    return () => {
      element.current?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={element}
      class={wide ? "wide" : ""}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose?.();
      }}
    >
      <header>
        <h2 id={id}>{title}</h2>
        {onClose !== undefined && (
          <button type="button" class="plain" onClick={onClose} aria-label={text.common.close}>
            ✕
          </button>
        )}
      </header>
      <div class="body">{children}</div>
    </dialog>
  );
}
