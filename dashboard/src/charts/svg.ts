/** A percentile picture as a file that stands alone: for reports and tickets. */

import { duration, percentileName } from "../units";
import { axisEnd, percentileAt, place, sampled, TICKS, total } from "./curve";
import type { Curve } from "./PercentileCurve";

const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#b0588c", "#b37a00", "#2e8fc4", "#444444", "#7a5195"];
const WIDTH = 900;
const HEIGHT = 480;
const LEFT = 80;
const BOTTOM = 40;
const RIGHT = 220;
const TOP = 40;

/** Text as XML. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

/** Draws curves on logarithmic axes. */
export function curveSvg(title: string, curves: readonly Curve[]): string {
  const end = axisEnd(curves.map((curve) => total(curve.points)));
  const drawn = sampled(curves.map((curve) => curve.points), end);
  const values = curves.flatMap((curve) => curve.points.map((point) => Math.max(1, point.value_us)));
  const low = Math.floor(Math.log10(Math.min(...values, 1_000)));
  const high = Math.ceil(Math.log10(Math.max(...values, 10 ** (low + 1))));
  const x = (at: number) => LEFT + (at / end) * (WIDTH - LEFT - RIGHT);
  const y = (us: number) => TOP + (1 - (Math.log10(Math.max(1, us)) - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/><text x="${LEFT}" y="22" font-size="15">${escapeXml(title)}</text>`,
  ];
  for (let power = low; power <= high; power += 1) {
    const at = y(10 ** power);
    parts.push(`<path d="M${LEFT} ${at}H${WIDTH - RIGHT}" stroke="#ddd"/><text x="${LEFT - 8}" y="${at + 4}" text-anchor="end">${escapeXml(duration(10 ** power))}</text>`);
  }
  for (const tick of TICKS.filter((tick) => place(tick) <= end + 0.001)) {
    const at = x(place(tick));
    parts.push(`<path d="M${at} ${TOP}V${HEIGHT - BOTTOM}" stroke="#eee"/><text x="${at}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${percentileName(tick)}</text>`);
  }
  curves.forEach((curve, index) => {
    const colour = COLOURS[index % COLOURS.length] ?? "#000";
    let path = "";
    drawn.x.forEach((at, step) => {
      const value = drawn.sure[index]?.[step] ?? drawn.pale[index]?.[step] ?? null;
      if (value !== null) path += `${path === "" ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    });
    const dash = curve.isBaseline === true ? ' stroke-dasharray="4 4"' : "";
    parts.push(`<path d="${path}" fill="none" stroke="${colour}" stroke-width="2"${dash}/>`);
    const line = TOP + 8 + index * 20;
    parts.push(`<path d="M${WIDTH - RIGHT + 16} ${line}h24" stroke="${colour}" stroke-width="2"${dash}/><text x="${WIDTH - RIGHT + 46}" y="${line + 4}">${escapeXml(curve.label)}</text>`);
  });
  return `${parts.join("")}<!-- to ${percentileName(percentileAt(end))} --></svg>\n`;
}
