/** Somebody else asks for leave to break a safety rule: what for, and the button to agree. */
import { useState } from "preact/hooks";
import { useConsole } from "./data/console.ts";
import { useStore } from "./data/store.ts";
import { useText } from "./text/text.ts";
import { CommandDialog } from "./ui/command-dialog.tsx";
import { Facts } from "./ui/parts.tsx";
import { Moment } from "./ui/time.tsx";

export function OverrideButton({ need: { id } }: { readonly need: { readonly id: string } }) {
  const { operations } = useConsole();
  const text = useText();
  const [open, setOpen] = useState(false);
  const asked = useStore(operations.overrides).find((one) => one.id === id);
  if (asked === undefined) return null;
  const close = (): void => {
    setOpen(false);
    void operations.read();
  };
  return (
    <>
      <button type="button" onClick={() => setOpen(true)}>
        {text.need.look}
      </button>
      {open && (
        <CommandDialog
          title={text.need.override(asked.rule, asked.askedBy)}
          action={text.problem.approveOverride}
          danger
          command={(reason) => ({ method: "POST", path: `/v1/overrides/${id}/approval`, body: { reason } })}
          onDone={close}
          onClose={close}
        >
          <Facts
            of={[
              [text.overlays.does, asked.what],
              [text.common.reason, asked.reason],
              [text.common.by, asked.askedBy],
              [text.common.until, <Moment key="until" at={asked.expires} />],
            ]}
          />
        </CommandDialog>
      )}
    </>
  );
}
