/** Failed and slow requests: the fleet's, and one of them as a waterfall. */
import { useState } from "preact/hooks";
import type { RequestTrace } from "../../../model/request-trace.ts";
import { useResource } from "../data/resource.ts";
import { to } from "../router.ts";
import { useText } from "../text/text.ts";
import { Choice } from "../ui/fields.tsx";
import { latencyText } from "../ui/format.ts";
import { Empty, Facts, Heading, Panel, State, Unread } from "../ui/parts.tsx";
import { Moment } from "../ui/time.tsx";
import { type Column, VirtualTable } from "../ui/virtual-table.tsx";
import { Waterfall } from "../ui/waterfall.tsx";

interface Errors {
  readonly errors: readonly RequestTrace[];
}

const EVERY = 5_000;

export function ErrorsPage() {
  const text = useText();
  const [since, setSince] = useState("10m");
  const [kind, setKind] = useState("");
  const [unit, setUnit] = useState("");
  const [route, setRoute] = useState("");
  const query = new URLSearchParams({ since, ...(kind === "" ? {} : { kind }) });
  const { data, problem, reload } = useResource<Errors>(`/v1/errors?${query}`, { every: EVERY });
  const all = data?.errors ?? [];
  const namesOf = (field: "unit" | "route"): (readonly [string, string])[] => [
    ["", text.errors.any],
    ...[...new Set(all.map((one) => one[field]))].sort().map((name) => [name, name] as const),
  ];
  const shown = all.filter(
    (one) => (unit === "" || one.unit === unit) && (route === "" || one.route === route),
  );
  const columns: Column<RequestTrace>[] = [
    { name: text.common.since, width: "7rem", cell: ({ at }) => <Moment at={at} /> },
    {
      name: text.errors.kind,
      width: "7rem",
      cell: ({ kind: what }) => <State state={what} word={text.errors.kinds[what] ?? what} />,
    },
    { name: text.errors.route, width: "minmax(6rem, 1fr)", cell: (one) => one.route },
    { name: text.errors.unit, width: "5rem", cell: (one) => one.unit || "–" },
    {
      name: text.errors.answer,
      width: "minmax(6rem, 1fr)",
      cell: (one) => <Answer of={one} />,
    },
    { name: text.errors.took, width: "6rem", numeric: true, cell: ({ duration }) => latencyText(duration) },
    {
      name: text.errors.why,
      width: "minmax(9rem, 2fr)",
      cell: (one) => {
        const why = one.failover || one.attempts.at(-1)?.error || one.reason;
        return <span title={why}>{why}</span>;
      },
    },
    {
      name: text.errors.trace,
      width: "8rem",
      cell: ({ traceId }) => (
        <a href={to("errors", traceId)}>
          <code>{traceId.slice(0, 12)}…</code>
        </a>
      ),
    },
  ];
  return (
    <>
      <Heading>{text.errors.title}</Heading>
      <p class="lead">{text.errors.about}</p>
      <div class="form">
        <Choice
          label={text.errors.since}
          value={since}
          options={Object.entries(text.errors.spans)}
          onChange={setSince}
        />
        <Choice
          label={text.errors.kind}
          value={kind}
          options={Object.entries(text.errors.kinds)}
          onChange={setKind}
        />
        <Choice label={text.errors.unit} value={unit} options={namesOf("unit")} onChange={setUnit} />
        <Choice label={text.errors.route} value={route} options={namesOf("route")} onChange={setRoute} />
      </div>
      {data === undefined ? (
        <Unread problem={problem} reload={reload} />
      ) : (
        <Panel>
          {shown.length === 0 ? (
            <Empty>{text.errors.none}</Empty>
          ) : (
            <VirtualTable
              label={text.errors.title}
              rows={shown}
              keyOf={({ traceId, spanId }) => `${traceId} ${spanId}`}
              columns={columns}
            />
          )}
        </Panel>
      )}
    </>
  );
}

function Answer({ of: { status, problem } }: { readonly of: RequestTrace }) {
  const text = useText();
  return (
    <>
      {status === 0 ? text.errors.noAnswer : status} {problem !== "" && <small>{problem}</small>}
    </>
  );
}

/** @param name the trace's id */
export function ErrorPage({ name }: { readonly name: string }) {
  const text = useText();
  const isId = /^[0-9a-f]{32}$/.test(name);
  const { data, problem, reload } = useResource<Errors>(isId ? `/v1/errors?trace=${name}` : undefined);
  return (
    <>
      <Heading>
        <a href={to("errors")}>{text.errors.title}</a> <code>{name}</code>
      </Heading>
      {isId && data === undefined ? (
        <Unread problem={problem} reload={reload} />
      ) : (data?.errors.length ?? 0) === 0 ? (
        <Empty>{text.errors.unknown}</Empty>
      ) : (
        data!.errors.map((one) => <Request key={one.spanId} of={one} />)
      )}
    </>
  );
}

function Request({ of }: { readonly of: RequestTrace }) {
  const text = useText();
  const keyed = of.slot < 0 ? "" : `, ${of.slot} → ${of.home}`;
  return (
    <>
      <Panel
        title={
          <>
            {of.method} {of.path} <State state={of.kind} word={text.errors.kinds[of.kind] ?? of.kind} />
          </>
        }
      >
        <Facts
          of={[
            [text.errors.answer, <Answer key="answer" of={of} />],
            [text.errors.took, latencyText(of.duration)],
            [text.common.since, <Moment key="at" at={of.at} />],
            [text.errors.gateway, `${of.gateway} (${of.revision})`],
            [text.errors.decided, `${of.route} → ${of.unit || "–"} (${of.version}${keyed})`],
            [text.errors.because, of.reason],
            ...(of.failover === "" ? [] : [[text.errors.failover, of.failover] as const]),
          ]}
        />
      </Panel>
      <Panel title={text.errors.waterfall}>
        <Waterfall of={of} />
      </Panel>
      <Panel title={text.errors.headers}>
        <Facts of={Object.entries(of.headers)} />
      </Panel>
    </>
  );
}
