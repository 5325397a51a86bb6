/** Which line is which: hue, dash and name; a button where a line can be hidden. */

import { DASHES } from "./palette";

export interface LegendEntry {
  readonly key: string;
  readonly label: string;
  /** Number of the series' colour and dash. */
  readonly look: number;
  readonly value?: string;
  readonly hidden?: boolean;
}

interface Props {
  readonly entries: readonly LegendEntry[];
  readonly onToggle?: (key: string) => void;
}

export function Legend({ entries, onToggle }: Props) {
  return (
    <ul className="legend">
      {entries.map((entry) => {
        const content = (
          <>
            <svg width="22" height="8" aria-hidden="true" className={`ink-${entry.look % 8}`}>
              <line x1="0" y1="4" x2="22" y2="4" strokeDasharray={DASHES[entry.look % DASHES.length]?.join(" ")} />
            </svg>
            {entry.label}
            {entry.value !== undefined && <b>{entry.value}</b>}
          </>
        );
        return (
          <li key={entry.key}>
            {onToggle
              ? <button type="button" className="quiet" aria-pressed={entry.hidden !== true} onClick={() => onToggle(entry.key)}>{content}</button>
              : <span>{content}</span>}
          </li>
        );
      })}
    </ul>
  );
}
