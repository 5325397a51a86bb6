/** Values over time. The unit of the axis is chosen once from what is shown; gaps stay gaps. */

import uPlot from "uplot";
import { useMemo, type ReactNode } from "react";

import { clock, inUnit, moment } from "../units";
import { durationUnit } from "../units";
import { Figure, type TableOf } from "./Figure";
import { Legend, type LegendEntry } from "./Legend";
import { DASHES, faint, type Palette } from "./palette";
import { Plot } from "./Plot";

export interface Line {
  readonly key: string;
  readonly label: string;
  readonly look: number;
  readonly values: readonly (number | null)[];
}

export interface LineChartProps {
  readonly title: string;
  readonly sentence: string;
  /** End of each step, milliseconds since 1970. */
  readonly at: readonly number[];
  readonly lines: readonly Line[];
  /** How a value reads. */
  readonly format: (value: number) => string;
  /** Values are microseconds: the axis has one unit. */
  readonly isDuration?: boolean;
  readonly isLog?: boolean;
  /** The area below each line is filled: for things that add up. */
  readonly isFilled?: boolean;
  readonly height?: number;
  /** Charts with the same word share their crosshair. */
  readonly sync?: string;
  readonly tools?: ReactNode;
  readonly stale?: boolean;
}

/** A logarithmic scale, as uPlot numbers it. */
// eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- the library declares an enum that has no value at run time
export const LOG = 3 as uPlot.Scale.Distr.Logarithmic;
/** Distances of times below a chart, seconds: the clock that is written there has no parts of a second. */
const TIME_STEPS_S: readonly number[] = [1, 5, 10, 15, 30, 60, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400];
/** Rows of a table: as many as a person reads. */
const TABLE_ROWS = 60;

export function axis(colours: Palette): uPlot.Axis {
  return {
    stroke: colours.muted, font: "11px system-ui, sans-serif", labelGap: 0,
    grid: { stroke: faint(colours.line, 0.8), width: 1 }, ticks: { stroke: colours.line, width: 1, size: 4 },
  };
}

export function LineChart(props: LineChartProps) {
  const { title, sentence, at, lines, format, isDuration = false, isLog = false, isFilled = false, height = 168, sync } = props;
  const data = useMemo(
    () => [at.map((ms) => ms / 1_000), ...lines.map((line) => (isLog ? line.values.map((value) => (value !== null && value > 0 ? value : null)) : [...line.values]))] as uPlot.AlignedData,
    [at, lines, isLog],
  );
  const largest = lines.reduce((most, line) => line.values.reduce<number>((m, value) => Math.max(m, value ?? 0), most), 0);
  const unit = durationUnit(isLog ? 1_000 : largest);
  // Axes without a line would have a scale that nobody measured.
  const isEmpty = lines.every((line) => line.values.every((value) => value === null));
  const long = (at.at(-1) ?? 0) - (at[0] ?? 0) > 3_600_000;

  const build = (colours: Palette): Omit<uPlot.Options, "width" | "height"> => ({
    legend: { show: false },
    // Right of the last tick its name needs half its width.
    padding: [8, 26, 0, 0],
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false }, ...(sync === undefined ? {} : { sync: { key: sync } }) },
    scales: { x: { time: true }, y: isLog ? { distr: LOG } : { range: (_plot, _min, max) => [0, Number.isFinite(max) && max > 0 ? max * 1.08 : 1] } },
    axes: [
      { ...axis(colours), size: 28, space: 64, incrs: [...TIME_STEPS_S], values: (_plot, splits) => splits.map((s) => (long ? clock(s * 1_000).slice(0, 5) : clock(s * 1_000))) },
      { ...axis(colours), size: 62, space: 28, values: (_plot, splits) => splits.map((value: number | null) => (value === null ? "" : isDuration && !isLog ? inUnit(value, unit) : format(value))) },
    ],
    series: [
      {},
      ...lines.map((line): uPlot.Series => {
        const colour = colours.series[line.look % colours.series.length] ?? colours.text;
        return {
          label: line.label, stroke: colour, width: 1.6, spanGaps: false, points: { show: false },
          dash: [...(DASHES[line.look % DASHES.length] ?? [])],
          ...(isFilled ? { fill: faint(colour, 0.18) } : {}),
        };
      }),
    ],
  });

  const describe = (index: number) =>
    [clock(at[index]), ...lines.map((line) => `${line.label} ${valueText(line.values[index], format)}`)].join("   ");
  const table = (): TableOf => ({
    head: ["time", ...lines.map((line) => line.label)],
    rows: at.map((ms, index) => [moment(ms), ...lines.map((line) => valueText(line.values[index], format))]).slice(-TABLE_ROWS).reverse(),
  });
  const entries: LegendEntry[] = lines.map((line) => ({ key: line.key, label: line.label, look: line.look, value: valueText(lastOf(line.values), format) }));
  const shape = `${lines.map((line) => `${line.key}:${line.look}`).join()}|${isLog}|${isFilled}|${sync ?? ""}|${isDuration ? unit.name : ""}|${long}`;
  return (
    <Figure title={title} sentence={sentence} table={table} tools={props.tools} stale={props.stale ?? false} legend={<Legend entries={entries} />}>
      {isEmpty
        ? <div className="plot-empty" style={{ height }}>No values in this window.</div>
        : <Plot shape={shape} build={build} data={data} height={height} label={title} describe={describe} />}
    </Figure>
  );
}

function valueText(value: number | null | undefined, format: (value: number) => string): string {
  return value === null || value === undefined ? "–" : format(value);
}

/** The newest value that is known. */
export function lastOf(values: readonly (number | null)[]): number | null {
  for (let index = values.length - 1; index >= 0; index -= 1) {
    const value = values[index];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}
