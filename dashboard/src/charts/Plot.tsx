/** One uPlot: made once, fed with new values, made anew when its shape, its theme or its width changes. */

import { useEffect, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { palette, type Palette } from "./palette";
import { useThemeName } from "./theme";

interface Props {
  /** Changes when the chart must be made anew. */
  readonly shape: string;
  readonly build: (colours: Palette) => Omit<uPlot.Options, "width" | "height">;
  readonly data: uPlot.AlignedData;
  readonly height: number;
  readonly label: string;
  /** The values at a point, as a line of text. */
  readonly describe: (index: number) => string;
}

export function Plot({ shape, build, data, height, label, describe }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef({ build, data, describe });
  const [index, setIndex] = useState<number | null>(null);
  const theme = useThemeName();

  useEffect(() => { latest.current = { build, data, describe }; });

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const options = latest.current.build(palette());
    const moved = (made: uPlot) => setIndex(made.cursor.idx ?? null);
    const made = new uPlot(
      { ...options, width: Math.max(120, element.clientWidth), height, hooks: { ...options.hooks, setCursor: [moved] } },
      latest.current.data, element,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: Math.max(120, element.clientWidth), height }));
    observer.observe(element);
    return () => { observer.disconnect(); made.destroy(); plot.current = null; };
  }, [shape, theme, height]);

  useEffect(() => {
    // Nobody sees a hidden tab; the next value after it is shown draws all.
    if (!document.hidden) plot.current?.setData(data);
  }, [data]);

  const length = data[0].length;
  const shown = index === null || index >= length ? null : index;
  const step = (by: number) => {
    const made = plot.current;
    if (!made || length === 0) return;
    const next = Math.min(length - 1, Math.max(0, (shown ?? (by > 0 ? -1 : length)) + by));
    made.setCursor({ left: made.valToPos(Number(data[0][next]), "x"), top: 0 });
    setIndex(next);
  };
  const onKey = (event: React.KeyboardEvent) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -length, End: length }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    step(by);
  };
  const text = shown === null ? "" : describe(shown);
  return (
    <>
      <div
        ref={host} className="plot" role="slider" tabIndex={0} aria-label={`${label}: arrow keys read values`}
        aria-valuemin={0} aria-valuemax={Math.max(0, length - 1)} aria-valuenow={shown ?? 0}
        aria-valuetext={text === "" ? "no value chosen" : text} onKeyDown={onKey}
      />
      <div className="readout" aria-hidden="true">{text}</div>
    </>
  );
}
