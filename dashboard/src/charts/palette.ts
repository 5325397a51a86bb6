/** Colours of charts, read from the style sheet, so that a theme is written down once. */

/** Lines differ by dash too: colour alone says nothing to who cannot see it. */
export const DASHES: readonly (readonly number[])[] = [[], [7, 3], [2, 3], [9, 3, 2, 3], [4, 4], [12, 4], [2, 2, 7, 2], [1, 5]];
/** Colours of series that there are. */
export const SERIES = 8;

export interface Palette {
  readonly text: string;
  readonly muted: string;
  readonly line: string;
  readonly panel: string;
  readonly bad: string;
  readonly series: readonly string[];
}

/** The colours of the present theme. */
export function palette(): Palette {
  const style = getComputedStyle(document.documentElement);
  const read = (name: string) => style.getPropertyValue(name).trim() || "#808080";
  return {
    text: read("--text"), muted: read("--muted"), line: read("--line"), panel: read("--panel"), bad: read("--bad"),
    series: Array.from({ length: SERIES }, (_, index) => read(`--series-${index}`)),
  };
}

/** The same hue, fainter. */
export function faint(colour: string, alpha: number): string {
  return `color-mix(in srgb, ${colour} ${Math.round(alpha * 100)}%, transparent)`;
}

/** Anchors of cividis, which people who see no red or green read as well. Source: Nuñez, Anderton and Renslow, 2018. */
const CIVIDIS: readonly (readonly [number, number, number])[] = [
  [0, 34, 78], [18, 53, 112], [59, 73, 108], [87, 93, 109], [112, 113, 115], [138, 134, 120], [165, 156, 116],
  [195, 179, 105], [225, 204, 85], [254, 232, 56],
];

/** Red, green and blue of a share from 0 to 1. */
export function cividis(share: number): readonly [number, number, number] {
  const at = Math.min(1, Math.max(0, share)) * (CIVIDIS.length - 1);
  const low = CIVIDIS[Math.floor(at)] ?? [0, 0, 0];
  const high = CIVIDIS[Math.ceil(at)] ?? low;
  const part = at - Math.floor(at);
  const mix = (index: 0 | 1 | 2) => Math.round(low[index] + (high[index] - low[index]) * part);
  return [mix(0), mix(1), mix(2)];
}
