/** A chart over time, and the same as a few words for whoever does not see it. */
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { useConsole } from "../data/console.ts";
import { useStore } from "../data/store.ts";
import { TAGS } from "../text/text.ts";

export interface Line {
  readonly name: string;
  /** A custom property of the style sheet, without dashes. */
  readonly color: string;
  readonly values: readonly (number | null)[];
  readonly text: (value: number | null) => string;
}

/** Seconds between two lines of the grid. */
const INCREMENTS = [1, 5, 10, 15, 30, 60, 120, 300];

interface Props {
  readonly title: string;
  /** Seconds since 1970. */
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  /** The axis ends here at the least. */
  readonly least?: number;
  readonly most?: number;
  readonly height?: number;
}

export function Chart({ title, times, lines, least = 0, most, height = 150 }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const { preferences } = useConsole();
  const theme = useStore(preferences.theme);
  const language = TAGS[useStore(preferences.language)];
  const isDark = useIsDark();
  const data = [times, ...lines.map(({ values }) => values)] as uPlot.AlignedData;
  const shape = lines.map(({ name, color }) => `${name} ${color}`).join();
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const color = colorsOf(element);
    const axis = {
      stroke: color("muted"),
      grid: { stroke: color("line"), width: 1 },
      ticks: { show: false },
    };
    const clock = new Intl.DateTimeFormat(language, {
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      hour12: false,
    });
    const made = new uPlot(
      {
        width: element.clientWidth,
        height,
        padding: [8, 26, 0, 0],
        legend: { show: false },
        cursor: { y: false, points: { show: false } },
        scales: {
          y: {
            range: (_, low, high) => [Math.min(least, low ?? least), Math.max(most ?? 1, (high ?? 0) * 1.1)],
          },
        },
        axes: [
          {
            ...axis,
            values: (_, all) => all.map((at) => clock.format(new Date(at * 1000))),
            space: 80,
            size: 26,
            incrs: INCREMENTS,
          },
          { ...axis, size: 56, values: (_, all) => all.map((value) => lines[0]!.text(value)) },
        ],
        series: [
          {},
          ...lines.map((line) => ({
            label: line.name,
            stroke: color(line.color),
            width: 1.75,
            points: { show: false },
          })),
        ],
      },
      data,
      element,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [shape, theme, language, isDark, height]);
  useEffect(() => plot.current?.setData(data));
  return (
    <figure class="chart">
      <figcaption>
        <span class="title">{title}</span>
        {lines.map(({ name, color, values, text }) => (
          <span key={name} class="key">
            <i class={`swatch ${color}`} aria-hidden="true" />
            {name} <b>{text(values.findLast((value) => value !== null) ?? null)}</b>
          </span>
        ))}
      </figcaption>
      <div ref={box} aria-hidden="true" />
    </figure>
  );
}

function useIsDark(): boolean {
  const query = window.matchMedia("(prefers-color-scheme: dark)");
  const [isDark, setDark] = useState(query.matches);
  useEffect(() => {
    const look = (): void => setDark(query.matches);
    query.addEventListener("change", look);
    return () => query.removeEventListener("change", look);
  }, []);
  return isDark;
}

/** A canvas knows no custom properties. */
function colorsOf(element: HTMLElement): (name: string) => string {
  const probe = document.createElement("i");
  element.append(probe);
  const colors = new Map<string, string>();
  for (const name of ["muted", "line", "accent", "ok", "warn", "bad", "calm"]) {
    probe.style.color = `var(--${name})`;
    colors.set(name, getComputedStyle(probe).color);
  }
  probe.remove();
  return (name) => colors.get(name) ?? "currentColor";
}

/** A line without axes, for where there is little room. */
export function Spark({ values }: { readonly values: readonly (number | null)[] }) {
  const [width, height] = [120, 28];
  const most = Math.max(1e-9, ...values.map((value) => value ?? 0));
  const parts: string[] = [];
  let isDown = false;
  for (const [i, value] of values.entries()) {
    if (value === null) {
      isDown = false;
      continue;
    }
    const x = values.length < 2 ? 0 : (i / (values.length - 1)) * width;
    const y = height - 2 - (value / most) * (height - 4);
    parts.push(`${isDown ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`);
    isDown = true;
  }
  return (
    <svg class="spark" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true">
      <path d={parts.join("")} />
    </svg>
  );
}
