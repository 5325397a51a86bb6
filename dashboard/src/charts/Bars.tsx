/** Named values as bars, the largest first: a table that one sees. */

export interface Bar {
  readonly key: string;
  readonly label: string;
  readonly value: number;
  readonly text: string;
  readonly more?: readonly string[];
}

interface Props {
  readonly bars: readonly Bar[];
  readonly head: readonly string[];
  readonly label: string;
  /** Value of a bar across the whole width, of shares their whole; without it the largest. */
  readonly full?: number;
  readonly onPick?: (key: string) => void;
}

export function Bars({ bars, head, label, full, onPick }: Props) {
  const most = full ?? Math.max(1e-9, ...bars.map((bar) => bar.value));
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label={label}>
      <table className="grid bars">
        <thead><tr>{head.map((name) => <th key={name} scope="col">{name}</th>)}</tr></thead>
        <tbody>
          {bars.map((bar) => (
            <tr key={bar.key}>
              <th scope="row">{onPick ? <button type="button" className="link" onClick={() => onPick(bar.key)}>{bar.label}</button> : bar.label}</th>
              <td>
                <div className="bar">
                  <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect className="track" width="100" height="8" /><rect width={(100 * bar.value) / most} height="8" /></svg>
                  <span>{bar.text}</span>
                </div>
              </td>
              {bar.more?.map((text, index) => <td key={index}>{text}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
