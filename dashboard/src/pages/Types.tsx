/** Message types: who takes the room. */

import { useEffect, useRef, useState } from "react";

import { useTypes } from "../api/queries";
import { Bars } from "../charts/Bars";
import { LineChart } from "../charts/LineChart";
import { brief, bytes, count, percent, rate } from "../units";
import { Empty, PageHead, Panel, Read } from "../ui/Bits";
import { usePaused, useView } from "../ui/view";
import { keyOf, withRates, type Counted, type Rates } from "./rates";

/** Types with a picture of their own. */
const SHOWN = 8;

function useRates(items: readonly Counted[] | undefined, atMs: number): Rates {
  const [kept, setKept] = useState<Rates>({ at: [], rates: new Map() });
  const before = useRef<{ at: number; counts: ReadonlyMap<string, number> } | null>(null);
  useEffect(() => {
    if (items === undefined || atMs === 0) return;
    const old = before.current;
    const passed = old === null ? 0 : (atMs - old.at) / 1_000;
    if (old !== null && passed < 0.5) return;
    if (old !== null) setKept((value) => withRates(value, old.counts, items, atMs, passed));
    before.current = { at: atMs, counts: new Map(items.map((type) => [keyOf(type), type.count])) };
  }, [items, atMs]);
  return kept;
}

export default function Types() {
  const [view, change] = useView();
  const types = useTypes(view.pipeline, view.instance);
  const isPaused = usePaused();
  const [text, setText] = useState("");
  const kept = useRates(types.data?.items, types.dataUpdatedAt);
  const [held, setHeld] = useState<Rates | null>(null);
  useEffect(() => { setHeld(isPaused ? (value) => value ?? kept : null); }, [isPaused, kept]);
  return (
    <>
      <PageHead title="Types" about="The business view: which messages there are. What is beyond the bound of names counts as other.">
        <label className="field" data-filter>Filter <input value={text} onChange={(event) => setText(event.target.value)} /></label>
      </PageHead>
      <Read of={types} what="Types">
        {(data) => data.items.length === 0
          ? <Empty title="No types yet" why="No message has come, or the pipeline has no type rule." command={'type_rule = { kind = "json_pointer", pointer = "/type" }'} />
          : <Listed items={data.items.filter((type) => type.name.toLowerCase().includes(text.toLowerCase()))} kept={held ?? kept} several={new Set(data.items.map((type) => type.pipeline)).size > 1} onPick={(pipeline) => change({ pipeline })} />}
      </Read>
    </>
  );
}

interface ListedProps {
  readonly items: readonly Counted[];
  readonly kept: Rates;
  readonly several: boolean;
  readonly onPick: (pipeline: string) => void;
}

function Listed({ items, kept, several, onPick }: ListedProps) {
  const all = items.reduce((sum, type) => sum + type.count, 0);
  const latest = (type: Counted) => kept.rates.get(keyOf(type))?.at(-1) ?? null;
  const share = (type: Counted) => percent(all === 0 ? 0 : type.count / all);
  const bars = items.map((type) => ({
    key: keyOf(type), label: several ? `${type.name} (${type.pipeline})` : type.name, value: type.count, text: share(type),
    more: [rate(latest(type)), count(type.count), bytes(type.count === 0 ? null : type.bytes / type.count), percent(type.count === 0 ? 0 : type.errors / type.count), count(type.errors)],
  }));
  return (
    <>
      <Panel title={`${count(items.length)} types, ${brief(all)} messages since the start`}>
        <Bars label="Message types" full={Math.max(1, all)} head={["type", "share", "rate", "messages", "mean size", "rejected, share", "rejected"]} bars={bars} {...(several ? { onPick: (key: string) => onPick(key.slice(0, key.indexOf("/"))) } : {})} />
      </Panel>
      <div className="columns">
        {items.slice(0, SHOWN).map((type, index) => (
          <LineChart
            key={keyOf(type)} title={type.name === "" ? "(no name)" : type.name} at={kept.at} height={110} format={rate} sync="types"
            lines={[{ key: "rate", label: "rate", look: index, values: kept.rates.get(keyOf(type)) ?? [] }]} sentence={`${rate(latest(type))}, ${share(type)} of all.`}
          />
        ))}
      </div>
    </>
  );
}
