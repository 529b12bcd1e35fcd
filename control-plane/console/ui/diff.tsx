/** What differs, field by field: text of others, which stays text. */
import type { Difference } from "../data/shapes.ts";
import { useText } from "../text/text.ts";
import { valueText } from "./format.ts";
import { Empty } from "./parts.tsx";

const MOST = 200;

export function Diff({ of }: { readonly of: readonly Difference[] }) {
  const text = useText();
  if (of.length === 0) return <Empty>{text.revisions.same}</Empty>;
  return (
    <div class="scroll">
      <table class="diff">
        <thead>
          <tr>
            <th scope="col">{text.revisions.field}</th>
            <th scope="col">{text.revisions.before}</th>
            <th scope="col">{text.revisions.after}</th>
          </tr>
        </thead>
        <tbody>
          {of.slice(0, MOST).map(({ field, before, after }) => (
            <tr key={field}>
              <th scope="row">{field}</th>
              <td class={before === undefined ? "absent" : "was"}>{valueText(before)}</td>
              <td class={after === undefined ? "absent" : "is"}>{valueText(after)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {of.length > MOST && <p class="note">{text.revisions.manyDifferences(MOST)}</p>}
    </div>
  );
}
