// A live chart.

import { useEffect, useMemo, useRef } from "preact/hooks";
import uPlot from "uplot";
import { clock } from "../format";
import type { History, Line } from "../rates";

const HEIGHT = 150;

/** A colour of the style sheet, which differs in the dark. */
function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function Chart({
  title,
  lines,
  history,
  show,
}: {
  title: string;
  lines: Line[];
  history: History;
  show: (value: number | null) => string;
}) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const dark = useMemo(() => matchMedia("(prefers-color-scheme: dark)"), []);

  useEffect(() => {
    const parent = place.current!;
    const draw = () => {
      chart.current?.destroy();
      const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
      chart.current = new uPlot(
        {
          width: parent.clientWidth,
          height: HEIGHT,
          legend: { show: false },
          cursor: { y: false },
          scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(1, (high ?? 0) * 1.1)] } },
          series: [
            {},
            ...lines.map((line, index) => ({
              label: line.label,
              stroke: colour(`--line-${index + 1}`),
              width: 2,
              spanGaps: false,
              points: { show: false },
            })),
          ],
          axes: [
            { ...axis, size: 30, space: 90, values: (_, times) => times.map((time) => clock(time).slice(0, 8)) },
            { ...axis, size: 70, values: (_, values) => values.map((value) => show(value)) },
          ],
        },
        history.columns(lines) as uPlot.AlignedData,
        parent,
      );
    };
    draw();
    const size = new ResizeObserver(() => chart.current?.setSize({ width: parent.clientWidth, height: HEIGHT }));
    size.observe(parent);
    dark.addEventListener("change", draw);
    return () => {
      size.disconnect();
      dark.removeEventListener("change", draw);
      chart.current?.destroy();
      chart.current = null;
    };
  }, [lines, show]);

  // Each sample draws the page anew, and so the chart.
  useEffect(() => chart.current?.setData(history.columns(lines) as uPlot.AlignedData));

  const now = lines.map((line) => `${line.label} ${show(history.latest(line))}`).join(", ");
  return (
    <figure>
      <figcaption>
        <strong>{title}</strong>
        {lines.map((line, index) => (
          <span class={`key key-${index + 1}`}>
            {line.label} <b>{show(history.latest(line))}</b>
          </span>
        ))}
      </figcaption>
      <div ref={place} role="img" aria-label={`${title}: ${now}`} />
    </figure>
  );
}
