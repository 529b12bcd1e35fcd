/** Somebody else asks for leave to break a safety rule: what for, and the button to agree. */
import { useState } from "preact/hooks";
import { useConsole } from "./data/console.ts";
import { useText } from "./text/text.ts";
import { CommandDialog } from "./ui/command-dialog.tsx";
import { Facts } from "./ui/parts.tsx";
import { Moment } from "./ui/time.tsx";

export function OverrideDialog({ id, onClose }: { readonly id: string; readonly onClose: () => void }) {
  const { operations } = useConsole();
  const text = useText();
  // What is agreed to is what was on the screen when it was asked.
  const [asked] = useState(operations.overrides.value.find((one) => one.id === id));
  if (asked === undefined) return null;
  const close = (): void => {
    onClose();
    void operations.read();
  };
  return (
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
  );
}
