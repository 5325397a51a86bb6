/** The frame of every chart: a title, one sentence that says what it shows, the picture, and the same as a table. */

import { useId, useState, type ReactNode } from "react";

export interface TableOf {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

interface Props {
  readonly title: string;
  readonly sentence: string;
  /** Made when it is asked for. */
  readonly table: () => TableOf;
  readonly tools?: ReactNode;
  readonly legend?: ReactNode;
  readonly children: ReactNode;
  readonly stale?: boolean;
}

export function Figure({ title, sentence, table, tools, legend, children, stale }: Props) {
  const [open, setOpen] = useState(false);
  const id = useId();
  return (
    <figure className={stale ? "figure is-stale" : "figure"} aria-labelledby={id}>
      <div className="figure-head">
        <h2 id={id}>{title}</h2>
        <div className="figure-tools">
          {tools}
          <button type="button" className="quiet" aria-expanded={open} onClick={() => setOpen(!open)}>
            {open ? "Hide table" : "Table"}
          </button>
        </div>
      </div>
      {legend}
      {children}
      <figcaption>{sentence}</figcaption>
      {open && <Rows table={table()} label={title} />}
    </figure>
  );
}

function Rows({ table, label }: { readonly table: TableOf; readonly label: string }) {
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label={`${label} as a table`}>
      <table className="grid">
        <thead><tr>{table.head.map((name) => <th key={name} scope="col">{name}</th>)}</tr></thead>
        <tbody>
          {table.rows.map((row) => (
            <tr key={row.join("|")}>
              {row.map((cell, index) => (index === 0 ? <th key={index} scope="row">{cell}</th> : <td key={index}>{cell}</td>))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
