/** Queue, stages and topic as a walk: the width of an edge is the rate, the number in a node its latency. */

export interface Station {
  readonly key: string;
  readonly label: string;
  readonly figure: string;
  readonly note: string;
  readonly mood: "good" | "warn" | "bad" | "idle";
}

interface Props {
  readonly stations: readonly Station[];
  /** Messages a second between one station and the next. */
  readonly rates: readonly { readonly perSecond: number; readonly text: string }[];
  readonly label: string;
}

const MARK: Record<Station["mood"], string> = { good: "●", warn: "▲", bad: "■", idle: "○" };
/** A rate at which an edge is as thick as it gets. */
const FULL_RATE = 100_000;

function thickness(perSecond: number): number {
  return perSecond <= 0 ? 1 : 1.5 + (9 * Math.log10(1 + perSecond)) / Math.log10(1 + FULL_RATE);
}

export function Topology({ stations, rates, label }: Props) {
  return (
    <ol className="walk" aria-label={label}>
      {stations.map((station, index) => {
        const edge = rates[index];
        return (
          <li key={station.key} className="walk-step">
            <div className={`station is-${station.mood}`}>
              <span className="station-name"><i aria-hidden="true">{MARK[station.mood]}</i> {station.label}</span>
              <b>{station.figure}</b>
              <small>{station.note}</small>
            </div>
            {edge && (
              <div className="edge">
                <svg viewBox="0 0 60 14" preserveAspectRatio="none" aria-hidden="true">
                  <line x1="0" y1="7" x2="60" y2="7" strokeWidth={thickness(edge.perSecond)} />
                </svg>
                <small>{edge.text}</small>
              </div>
            )}
          </li>
        );
      })}
    </ol>
  );
}
