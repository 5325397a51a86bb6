/** Numbers as people read them. Every figure on the screen passes through here, so that a unit is never missing. */

/** A unit of an axis: chosen once, so that its ticks can be compared. */
export interface Unit {
  /** What stands behind the number. */
  readonly name: string;
  /** Raw values are divided by this. */
  readonly divide: number;
}

const DURATIONS: readonly Unit[] = [
  { name: "s", divide: 1_000_000 },
  { name: "ms", divide: 1_000 },
  { name: "µs", divide: 1 },
];

const COUNTS: readonly Unit[] = [
  { name: "G", divide: 1e9 },
  { name: "M", divide: 1e6 },
  { name: "k", divide: 1e3 },
  { name: "", divide: 1 },
];

const BYTES: readonly Unit[] = [
  { name: "TiB", divide: 2 ** 40 },
  { name: "GiB", divide: 2 ** 30 },
  { name: "MiB", divide: 2 ** 20 },
  { name: "KiB", divide: 2 ** 10 },
  { name: "B", divide: 1 },
];

/** Nothing is known. */
export const UNKNOWN = "–";

function choose(units: readonly Unit[], largest: number): Unit {
  const found = units.find((unit) => Math.abs(largest) >= unit.divide);
  return found ?? units[units.length - 1] ?? { name: "", divide: 1 };
}

/** The unit of an axis of latencies in microseconds, by its largest value. */
export function durationUnit(largestUs: number): Unit {
  return choose(DURATIONS, largestUs);
}

/** Three significant digits, and no zeros that say nothing. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return UNKNOWN;
  const magnitude = Math.abs(value);
  if (magnitude === 0) return "0";
  if (magnitude >= 100) return grouped(Math.round(value));
  return String(Number(value.toPrecision(3)));
}

/** Thousands apart, by a thin space: neither a comma nor a point is read as a decimal mark. */
export function grouped(value: number): string {
  const [whole = "", rest] = String(value).split(".");
  const apart = whole.replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
  return rest === undefined ? apart : `${apart}.${rest}`;
}

/** Whole numbers. */
export function count(value: number | null | undefined): string {
  return value === null || value === undefined || !Number.isFinite(value) ? UNKNOWN : grouped(Math.round(value));
}

/** Large counts: 1.23 M. */
export function brief(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  const unit = choose(COUNTS, value);
  const text = short(value / unit.divide);
  return unit.name === "" ? text : `${text} ${unit.name}`;
}

/** Per second. */
export function rate(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  return `${brief(value)}/s`;
}

/** A latency in microseconds. */
export function duration(us: number | null | undefined): string {
  if (us === null || us === undefined || !Number.isFinite(us)) return UNKNOWN;
  if (us >= 120 * 1_000_000) return span(us / 1_000_000);
  const unit = choose(DURATIONS, us);
  return `${short(us / unit.divide)} ${unit.name}`;
}

/** A latency in the unit of its axis. */
export function inUnit(us: number, unit: Unit): string {
  return `${short(us / unit.divide)} ${unit.name}`;
}

/** Every digit, for copying: nanoseconds. */
export function nanoseconds(us: number): string {
  return String(Math.round(us * 1_000));
}

/** A length of time in seconds: 3 d 4 h, 12 min 5 s. */
export function span(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return UNKNOWN;
  if (seconds < 1) return duration(seconds * 1_000_000);
  const parts: [number, string][] = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];
  let left = Math.round(seconds);
  const words: string[] = [];
  for (const [size, name] of parts) {
    const whole = Math.floor(left / size);
    left -= whole * size;
    if (whole > 0) words.push(`${whole} ${name}`);
    if (words.length === 2) break;
  }
  return words.join(" ");
}

/** Bytes. */
export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  const unit = choose(BYTES, value);
  return `${short(value / unit.divide)} ${unit.name}`;
}

/** A share from 0 to 1. */
export function percent(ratio: number | null | undefined): string {
  if (ratio === null || ratio === undefined || !Number.isFinite(ratio)) return UNKNOWN;
  const value = ratio * 100;
  if (value > 0 && value < 0.01) return "< 0.01 %";
  return `${value >= 99.5 && value < 100 ? value.toFixed(2) : short(value)} %`;
}

/** How much a value is of another: 1.20 ×. */
export function times(ratio: number | null | undefined): string {
  return ratio === null || ratio === undefined || !Number.isFinite(ratio) ? UNKNOWN : `${ratio.toFixed(2)} ×`;
}

/** US dollars. */
export function dollars(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  return `$${value >= 1 ? grouped(Number(value.toFixed(2))) : short(value)}`;
}

/** A percentile's name: p50, p99.9. */
export function percentileName(percentile: number): string {
  return percentile >= 100 ? "max" : `p${Number(percentile.toFixed(6))}`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

/** Time of day. */
export function clock(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return UNKNOWN;
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** Day and time. */
export function moment(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return UNKNOWN;
  const at = new Date(ms);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(ms)}`;
}

/** How long ago. */
export function ago(ms: number | null | undefined, now: number): string {
  if (ms === null || ms === undefined) return UNKNOWN;
  const seconds = (now - ms) / 1_000;
  return seconds < 1 ? "now" : `${span(seconds)} ago`;
}

/** Names of the API as words: `produce_to_ack` is "produce to ack". */
export function words(name: string): string {
  return name.replaceAll("_", " ");
}
