/** One request's time: what it waited for, and each attempt, until its answer began (light) and until it was whole (full). */
import type { RequestTrace } from "../../../model/request-trace.ts";
import { useText } from "../text/text.ts";
import { latencyText } from "./format.ts";

export function Waterfall({ of }: { readonly of: RequestTrace }) {
  const text = useText();
  const longest = Math.max(1, of.duration, ...of.attempts.map(({ end }) => end));
  return (
    <ol class="waterfall">
      <li>
        <span class="name">{text.errors.waited}</span>
        <Bar parts={[{ from: 0, until: of.waited, kind: "wait" }]} longest={longest} />
        <span class="took">{latencyText(of.waited)}</span>
      </li>
      {of.attempts.map(({ unit, endpoint, start, headers, end, status, error, spanId }) => {
        const answered = headers < 0 ? end : headers;
        return (
          <li key={spanId}>
            <span class="name">
              {unit} {endpoint}{" "}
              <small class={error === "" && status < 500 ? "" : "tone-bad"}>
                {error === "" ? status : error}
              </small>
            </span>
            <Bar
              parts={[
                { from: start, until: answered, kind: "first" },
                { from: answered, until: end, kind: error === "" && status < 500 ? "rest" : "bad" },
              ]}
              longest={longest}
            />
            <span class="took">{latencyText(end - start)}</span>
          </li>
        );
      })}
    </ol>
  );
}

interface Part {
  readonly from: number;
  readonly until: number;
  readonly kind: "wait" | "first" | "rest" | "bad";
}

function Bar({ parts, longest }: { readonly parts: readonly Part[]; readonly longest: number }) {
  return (
    <svg viewBox="0 0 1000 16" preserveAspectRatio="none" aria-hidden="true">
      {parts.map(({ from, until, kind }) => (
        <rect
          key={kind}
          class={kind}
          x={(from / longest) * 1_000}
          y={2}
          width={Math.max(2, ((until - from) / longest) * 1_000)}
          height={12}
        />
      ))}
    </svg>
  );
}
