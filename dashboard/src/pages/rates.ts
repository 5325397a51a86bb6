/** Rates of message types from their counts at two moments. Pure. */

export interface Counted {
  readonly pipeline: string;
  readonly name: string;
  readonly count: number;
  readonly bytes: number;
  readonly errors: number;
}

export interface Rates {
  /** Moments, milliseconds since 1970. */
  readonly at: readonly number[];
  readonly rates: ReadonlyMap<string, readonly (number | null)[]>;
}

/** Moments kept: ten minutes at one look in two seconds. */
export const KEPT = 300;
/** Types whose rates are kept: the most frequent. */
const TYPES_MAX = 32;

export const keyOf = (type: Counted) => `${type.pipeline}/${type.name}`;

/** Puts the rates between two looks behind those of before. A count that fell began anew: its rate is not known. */
export function withRates(kept: Rates, before: ReadonlyMap<string, number>, now: readonly Counted[], atMs: number, passedS: number): Rates {
  const at = [...kept.at, atMs].slice(-KEPT);
  const rates = new Map<string, readonly (number | null)[]>();
  for (const type of now.slice(0, TYPES_MAX)) {
    const key = keyOf(type);
    const old = before.get(key);
    const fresh = old === undefined || type.count < old ? null : (type.count - old) / passedS;
    const series = kept.rates.get(key) ?? new Array<null>(kept.at.length).fill(null);
    rates.set(key, [...series, fresh].slice(-KEPT));
  }
  return { at, rates };
}
