/** Percentile curves: each nine as wide as the one before, one line per stage, a dashed baseline, a limit. */

import uPlot from "uplot";
import { useMemo, type ReactNode } from "react";

import { count as countText, duration, durationUnit, inUnit, percent, percentileName } from "../units";
import { axisEnd, crossing, percentileAt, place, sampled, SURE_BEYOND, TICKS, total, valueAt, type CurvePoint } from "./curve";
import { Figure, type TableOf } from "./Figure";
import { Legend } from "./Legend";
import { axis, LOG } from "./LineChart";
import { DASHES, faint, type Palette } from "./palette";
import { Plot } from "./Plot";

export interface Curve {
  readonly key: string;
  readonly label: string;
  readonly look: number;
  readonly points: readonly CurvePoint[];
  /** Drawn dashed and faint: what is compared with. */
  readonly isBaseline?: boolean;
}

interface Props {
  readonly title: string;
  readonly sentence: string;
  readonly curves: readonly Curve[];
  readonly isLog: boolean;
  /** A limit that somebody promised, microseconds. */
  readonly limitUs: number | null;
  readonly height: number;
  readonly tools?: ReactNode;
  readonly stale?: boolean;
}

/** Percentiles of the table. */
export const ROWS: readonly number[] = [50, 75, 90, 95, 99, 99.9, 99.99, 99.999, 100];

/** Percentiles of curves as a table. */
export function percentileTable(curves: readonly Curve[]): TableOf {
  return {
    head: ["percentile", ...curves.map((curve) => curve.label)],
    rows: [
      ...ROWS.map((row) => [percentileName(row), ...curves.map((curve) => duration(valueAt(curve.points, row)))]),
      ["messages", ...curves.map((curve) => countText(total(curve.points)))],
    ],
  };
}

/** Where each curve passes the limit, as a sentence. */
export function limitText(curves: readonly Curve[], limitUs: number): string {
  const parts = curves.filter((curve) => total(curve.points) > 0).map((curve) => {
    const at = crossing(curve.points, limitUs);
    return at === null ? `${curve.label}: all within` : `${curve.label}: ${percent(at / 100)} within`;
  });
  return `Limit ${duration(limitUs)}. ${parts.join("; ")}.`;
}

export function PercentileCurve({ title, sentence, curves, isLog, limitUs, height, tools, stale }: Props) {
  const end = axisEnd(curves.map((curve) => total(curve.points)));
  const drawn = useMemo(() => sampled(curves.map((curve) => curve.points), end), [curves, end]);
  const data = useMemo(() => {
    const positive = (values: readonly (number | null)[]) => (isLog ? values.map((value) => (value === null ? null : Math.max(1, value))) : [...values]);
    const limit = drawn.x.map(() => limitUs);
    return [drawn.x, ...drawn.sure.flatMap((sure, index) => [positive(sure), positive(drawn.pale[index] ?? [])]), ...(limitUs === null ? [] : [limit])] as uPlot.AlignedData;
  }, [drawn, isLog, limitUs]);
  const largest = Math.max(limitUs ?? 0, ...curves.map((curve) => curve.points.at(-1)?.value_us ?? 0));
  const unit = durationUnit(largest);

  const build = (colours: Palette): Omit<uPlot.Options, "width" | "height"> => ({
    legend: { show: false },
    padding: [10, 36, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    scales: {
      x: { time: false, range: [0, end] },
      y: isLog ? { distr: LOG } : { range: (_plot, _min, max) => [0, Number.isFinite(max) && max > 0 ? max * 1.05 : 1] },
    },
    axes: [
      {
        ...axis(colours), size: 30,
        splits: () => TICKS.map(place).filter((x) => x <= end + 0.001),
        values: (plot, splits) => roomy(splits, (x) => plot.valToPos(x, "x")).map((x) => (x === null ? "" : `${Number(percentileAt(x).toPrecision(7))} %`)),
      },
      { ...axis(colours), size: 66, space: 30, values: (_plot, splits) => splits.map((value: number | null) => (value === null ? "" : isLog ? logTick(value) : inUnit(value, unit))) },
    ],
    series: [{}, ...curves.flatMap((curve) => seriesOf(curve, colours)), ...(limitUs === null ? [] : [{ stroke: colours.bad, width: 1.4, dash: [6, 4], points: { show: false } }])],
  });

  const describe = (index: number) => {
    const x = drawn.x[index] ?? 0;
    const values = curves.map((curve) => `${curve.label} ${duration(valueAt(curve.points, percentileAt(x)))}`);
    return [`${Number(percentileAt(x).toPrecision(6))} %`, ...values].join("   ");
  };
  const shape = `${curves.map((curve) => `${curve.key}${curve.isBaseline === true}`).join()}|${isLog}|${end}|${limitUs ?? ""}|${isLog ? "" : unit.name}`;
  const entries = curves.map((curve) => ({ key: curve.key, label: curve.label, look: curve.look, value: duration(valueAt(curve.points, 99)) }));
  const closing = limitUs === null ? "" : ` ${limitText(curves, limitUs)}`;
  return (
    <Figure
      title={title} tools={tools} stale={stale ?? false} table={() => percentileTable(curves)}
      sentence={`${sentence}${closing} Pale where fewer than ${SURE_BEYOND} messages lie beyond.`}
      legend={<Legend entries={entries} />}
    >
      <Plot shape={shape} build={build} data={data} height={height} label={title} describe={describe} />
    </Figure>
  );
}

/** Width of the widest name of a tick, CSS pixels, by eye. */
const TICK_PX = 52;

/** Ticks that have room for their name, from the tail down: it is the tail that one reads. */
export function roomy(splits: readonly number[], positionOf: (x: number) => number): (number | null)[] {
  let next = Infinity;
  return splits.toReversed().map((x) => {
    if (next - positionOf(x) < TICK_PX) return null;
    next = positionOf(x);
    return x;
  }).toReversed();
}

/** Of a logarithmic axis only the powers are written: the rest would lie on each other. */
function logTick(value: number): string {
  const power = Math.log10(value);
  return Math.abs(power - Math.round(power)) < 1e-6 ? duration(value) : "";
}

function seriesOf(curve: Curve, colours: Palette): uPlot.Series[] {
  const colour = colours.series[curve.look % colours.series.length] ?? colours.text;
  const dash = curve.isBaseline === true ? [3, 3] : [...(DASHES[curve.look % DASHES.length] ?? [])];
  const base = { spanGaps: false, points: { show: false }, paths: uPlot.paths.stepped?.({ align: 1 }), dash } as const;
  return [
    { ...base, label: curve.label, stroke: curve.isBaseline === true ? faint(colour, 0.65) : colour, width: curve.isBaseline === true ? 1.4 : 2 },
    { ...base, label: curve.label, stroke: faint(colour, 0.35), width: 1.4 },
  ];
}
