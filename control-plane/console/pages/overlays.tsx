/** What differs from the base right now: by whom, why, and until when. */
import { useState } from "preact/hooks";
import { useMay } from "../data/console.ts";
import { useOverlays } from "../data/resource.ts";
import type { ShownOverlay } from "../data/shapes.ts";
import { to } from "../router.ts";
import { useText } from "../text/text.ts";
import { LayDialog, RemoveDialog } from "../ui/overlay-dialogs.tsx";
import { Empty, Heading, Panel, Unread } from "../ui/parts.tsx";
import { Moment } from "../ui/time.tsx";
import { type Column, VirtualTable } from "../ui/virtual-table.tsx";

export function OverlaysPage() {
  const text = useText();
  const isOperator = useMay("operator");
  const { data, problem, reload } = useOverlays({
    follow: true,
    every: 15_000,
  });
  const [laying, setLaying] = useState(false);
  const [removed, setRemoved] = useState<ShownOverlay | undefined>();
  const close = (): void => {
    setLaying(false);
    setRemoved(undefined);
    reload();
  };
  const columns: Column<ShownOverlay>[] = [
    {
      name: text.overlays.does,
      width: "minmax(12rem, 2fr)",
      cell: ({ id, does }) => <DoesCell id={id} does={does} />,
    },
    {
      name: text.common.reason,
      width: "minmax(9rem, 2fr)",
      cell: ({ reason }) => <span title={reason}>{reason}</span>,
    },
    { name: text.common.owner, width: "minmax(7rem, 1fr)", cell: ({ owner }) => <Owner owner={owner} /> },
    { name: text.common.since, width: "8rem", cell: ({ since }) => <Moment at={since} /> },
    {
      name: text.overlays.expires,
      width: "9rem",
      cell: ({ expires }) => (expires === undefined ? text.overlays.stays : <Moment at={expires} />),
    },
    ...(isOperator
      ? [
          {
            name: "",
            width: "7rem",
            numeric: true,
            cell: (overlay: ShownOverlay) =>
              executionOf(overlay.owner) === undefined ? (
                <button type="button" class="small" onClick={() => setRemoved(overlay)}>
                  {text.overlays.remove}
                </button>
              ) : (
                <small title={text.overlays.ofExecution}>{text.page.executions}</small>
              ),
          },
        ]
      : []),
  ];
  return (
    <>
      <Heading
        side={
          isOperator && (
            <button type="button" class="primary" onClick={() => setLaying(true)}>
              {text.overlays.lay}
            </button>
          )
        }
      >
        {text.overlays.title}
      </Heading>
      <p class="lead">{text.overlays.about}</p>
      {data === undefined ? (
        <Unread problem={problem} reload={reload} />
      ) : (
        <Panel>
          {data.length === 0 ? (
            <Empty>{text.overlays.none}</Empty>
          ) : (
            <VirtualTable
              label={text.overlays.title}
              rows={data}
              keyOf={({ id }) => id}
              columns={columns}
              height={48}
            />
          )}
        </Panel>
      )}
      {laying && <LayDialog title={text.overlays.lay} onClose={close} />}
      {removed !== undefined && <RemoveDialog overlay={removed} onClose={close} />}
    </>
  );
}

function DoesCell({ id, does }: { readonly id: string; readonly does: string }) {
  return (
    <span title={does}>
      {does} <small>{id}</small>
    </span>
  );
}

/** Owners that are executions are named `PLAN ex-7 (WHO)`. */
export function executionOf(owner: string): string | undefined {
  return /^\S+ (ex-\d{1,9}) \(/.exec(owner)?.[1];
}

function Owner({ owner }: { readonly owner: string }) {
  const execution = executionOf(owner);
  if (execution === undefined) return <span title={owner}>{owner}</span>;
  return (
    <a href={to("executions", execution)} title={owner}>
      {owner}
    </a>
  );
}
