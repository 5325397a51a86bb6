/** How many messages took how long, over time. One canvas: a pixel for a cell, enlarged without smoothing. */

import { useEffect, useMemo, useRef, useState } from "react";

import { clock, count, duration } from "../units";
import { Figure, type TableOf } from "./Figure";
import { heightOf, largest, latencyTicks, paintColumn, rowsOf, timeTicks, type HeatCell, type Rows } from "./heat";
import { cividis, palette } from "./palette";
import { useThemeName } from "./theme";

export interface Picked {
  readonly atMs: number;
  readonly fromUs: number;
  readonly toUs: number;
  readonly count: number;
}

interface Props {
  readonly title: string;
  readonly sentence: string;
  readonly columns: readonly HeatCell[];
  readonly lowerUs: readonly number[];
  readonly stepMs: number;
  /** Columns that the picture has room for. */
  readonly capacity: number;
  readonly height: number;
  readonly tools?: React.ReactNode;
  readonly stale?: boolean;
  readonly onPick: (picked: Picked) => void;
}

const LEFT = 62;
const BOTTOM = 24;
const TOP = 6;

interface Drawing {
  readonly columns: readonly HeatCell[];
  readonly lowerUs: readonly number[];
  readonly stepMs: number;
  readonly capacity: number;
  readonly rows: Rows;
  readonly cursor: number | null;
}

export function Heatmap(props: Props) {
  const { title, sentence, columns, lowerUs, stepMs, capacity, height, onPick } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(640);
  const [cursor, setCursor] = useState<number | null>(null);
  const theme = useThemeName();
  const rows = useMemo(() => rowsOf(columns, lowerUs.length), [columns, lowerUs.length]);

  useEffect(() => {
    const element = canvas.current?.parentElement;
    if (!element) return;
    const observer = new ResizeObserver(() => setWidth(Math.max(200, element.clientWidth)));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    const element = canvas.current;
    if (!element || document.hidden || lowerUs.length === 0) return;
    draw(element, width, height, { columns, lowerUs, stepMs, capacity, rows, cursor });
  }, [columns, lowerUs, stepMs, capacity, rows, width, height, cursor, theme]);

  const shown = columns.slice(-capacity);
  const text = (index: number | null) => {
    const column = index === null ? undefined : shown[index];
    if (!column) return "no column chosen";
    const all = (column.counts ?? []).reduce((sum, [, one = 0]) => sum + one, 0);
    return column.counts ? `${clock(column.at_ms)}: ${count(all)} messages, p99 ${duration(column.p99_us)}` : `${clock(column.at_ms)}: not known`;
  };
  const locate = (event: React.MouseEvent) => {
    const box = event.currentTarget.getBoundingClientRect();
    const x = (event.clientX - box.left - LEFT) / (box.width - LEFT);
    const y = 1 - (event.clientY - box.top - TOP) / (box.height - BOTTOM - TOP);
    return { column: Math.floor(x * capacity) - (capacity - shown.length), row: rows.from + Math.floor(y * (rows.to - rows.from + 1)) };
  };
  const pick = (index: number, row: number | null) => {
    const column = shown[index];
    if (!column) return;
    const cell = row === null ? undefined : column.counts?.find(([bucket]) => bucket === row);
    const all = (column.counts ?? []).reduce((sum, [, one = 0]) => sum + one, 0);
    const fromUs = row === null ? 0 : lowerUs[row] ?? 0;
    onPick({ atMs: column.at_ms, fromUs, toUs: row === null ? Infinity : lowerUs[row + 1] ?? Infinity, count: row === null ? all : cell?.[1] ?? 0 });
  };
  const onKey = (event: React.KeyboardEvent) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
    if (by !== undefined) {
      event.preventDefault();
      setCursor(Math.min(shown.length - 1, Math.max(0, (cursor ?? (by > 0 ? -1 : shown.length)) + by)));
    } else if (event.key === "Enter" && cursor !== null) {
      pick(cursor, null);
    }
  };
  const table = (): TableOf => ({
    head: ["time", "messages", "p99", "fastest", "slowest"],
    rows: shown.slice(-60).reverse().map((column) => {
      const counts = column.counts ?? [];
      const all = counts.reduce((sum, [, one = 0]) => sum + one, 0);
      return [clock(column.at_ms), count(all), duration(column.p99_us), duration(lowerUs[counts[0]?.[0] ?? -1]), duration(lowerUs[counts.at(-1)?.[0] ?? -1])];
    }),
  });
  return (
    <Figure title={title} sentence={sentence} table={table} tools={props.tools} stale={props.stale ?? false} legend={<Scale most={largest(shown)} />}>
      <div
        className="plot heat" role="slider" tabIndex={0} aria-label={`${title}: arrow keys read columns, Enter opens one`}
        aria-valuemin={0} aria-valuemax={Math.max(0, shown.length - 1)} aria-valuenow={Math.max(0, cursor ?? 0)} aria-valuetext={text(cursor)}
        onKeyDown={onKey} onMouseMove={(event) => setCursor(Math.max(0, locate(event).column))} onMouseLeave={() => setCursor(null)}
        onClick={(event) => { const at = locate(event); pick(at.column, at.row); }}
      >
        <canvas ref={canvas} aria-hidden="true" />
      </div>
      <div className="readout" aria-hidden="true">{cursor === null ? "" : text(cursor)}</div>
    </Figure>
  );
}

/** What the colours mean. */
function Scale({ most }: { readonly most: number }) {
  const host = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const brush = host.current?.getContext("2d");
    if (!brush) return;
    for (let x = 0; x < 96; x += 1) {
      brush.fillStyle = `rgb(${cividis(0.12 + (0.88 * x) / 95).join(",")})`;
      brush.fillRect(x, 0, 1, 10);
    }
  }, []);
  return <div className="legend scale"><span>1</span><canvas ref={host} width={96} height={10} aria-hidden="true" /><span>{count(most)} messages in a cell</span><span className="p99-key">p99</span></div>;
}

function draw(canvas: HTMLCanvasElement, width: number, height: number, it: Drawing): void {
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const brush = canvas.getContext("2d");
  if (!brush) return;
  const colours = palette();
  const shown = it.columns.slice(-it.capacity);
  const most = largest(shown);
  const tall = it.rows.to - it.rows.from + 1;
  const pixels = new ImageData(it.capacity, tall);
  const first = it.capacity - shown.length;
  shown.forEach((column, index) => paintColumn(pixels.data, it.capacity, first + index, column, it.rows, most));
  const cells = new OffscreenCanvas(it.capacity, tall);
  cells.getContext("2d")?.putImageData(pixels, 0, 0);

  brush.setTransform(ratio, 0, 0, ratio, 0, 0);
  brush.clearRect(0, 0, width, height);
  const wide = width - LEFT;
  const high = height - BOTTOM - TOP;
  const x = (index: number) => LEFT + ((first + index + 0.5) / it.capacity) * wide;
  const y = (us: number) => TOP + (1 - heightOf(us, it.rows, it.lowerUs)) * high;
  brush.font = "11px system-ui, sans-serif";
  brush.textBaseline = "middle";
  brush.textAlign = "right";
  for (const tick of latencyTicks(it.rows, it.lowerUs)) {
    brush.fillStyle = colours.line;
    brush.fillRect(LEFT, Math.round(y(tick)), wide, 1);
    brush.fillStyle = colours.muted;
    brush.fillText(duration(tick), LEFT - 6, y(tick));
  }
  brush.imageSmoothingEnabled = false;
  brush.drawImage(cells, LEFT, TOP, wide, high);
  line(brush, shown, x, y, colours.bad);
  times(brush, shown, it, x, height, colours.muted);
  if (it.cursor !== null && it.cursor >= 0) {
    brush.fillStyle = colours.text;
    brush.fillRect(Math.round(x(it.cursor)), TOP, 1, high);
  }
}

/** The p99 of each column, on top. */
function line(brush: CanvasRenderingContext2D, shown: readonly HeatCell[], x: (index: number) => number, y: (us: number) => number, colour: string): void {
  brush.beginPath();
  let open = false;
  shown.forEach((column, index) => {
    if (column.p99_us === null) { open = false; return; }
    if (open) brush.lineTo(x(index), y(column.p99_us)); else brush.moveTo(x(index), y(column.p99_us));
    open = true;
  });
  brush.strokeStyle = colour;
  brush.lineWidth = 1.5;
  brush.stroke();
}

/** Round times, which move with their columns. */
function times(brush: CanvasRenderingContext2D, shown: readonly HeatCell[], it: Drawing, x: (index: number) => number, height: number, colour: string): void {
  brush.fillStyle = colour;
  brush.textAlign = "center";
  const right = LEFT + ((x(1) - x(0)) * it.capacity);
  for (const index of timeTicks(shown.map((column) => column.at_ms), it.stepMs, it.capacity)) {
    const at = shown[index]?.at_ms ?? 0;
    const text = it.stepMs >= 60_000 ? clock(at).slice(0, 5) : clock(at);
    const half = brush.measureText(text).width / 2;
    if (x(index) - half > LEFT && x(index) + half < right) brush.fillText(text, x(index), height - BOTTOM / 2 + 2);
  }
}
