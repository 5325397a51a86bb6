/** One tile per core: how busy, how even, how alive; and the machine below them. */

import { useEffect, useRef, useState } from "react";

import { useHistory } from "../api/hooks";
import { live, type Shards as ShardsBody } from "../api/live";
import { useStore } from "../api/store";
import { lastOf } from "../charts/LineChart";
import { Sparkline } from "../charts/Sparkline";
import { bytes, count, duration, percent, span, times } from "../units";
import { Chip, Empty, Facts, Meter, PageHead, Pick } from "../ui/Bits";
import { imbalance } from "../ui/figures";
import { useStale } from "../ui/clock";
import { usePaused } from "../ui/view";
import { Drawer, Machine } from "./ShardParts";

type Shard = ShardsBody["items"][number];

const ORDERS = ["worst first", "by number", "by in flight"] as const;
/** Stalls and silences that colour a tile. */
const STALL_US = 100_000;
const STILL_S = 2;

/** CPU of each thread between the last two looks, in cores. */
function useBusy(): ReadonlyMap<string, number> {
  const state = useStore(live);
  const before = useRef<{ at: number; cpu: ReadonlyMap<string, number> } | null>(null);
  const [busy, setBusy] = useState<ReadonlyMap<string, number>>(new Map());
  useEffect(() => {
    const now = new Map((state.shards?.threads ?? []).map((thread) => [thread.name, thread.cpu_seconds]));
    const old = before.current;
    const passed = old === null ? 0 : (state.atMs - old.at) / 1_000;
    // Two looks within a second would divide by too little.
    if (old !== null && passed < 0.9) return;
    if (old !== null) setBusy(new Map([...now].map(([name, cpu]) => [name, Math.max(0, (cpu - (old.cpu.get(name) ?? cpu)) / passed)])));
    before.current = { at: state.atMs, cpu: now };
  }, [state.shards, state.atMs]);
  return busy;
}

/** A still shard is worse than one that stalls, and that is worse than one that holds much. */
function badness(shard: Shard): number {
  return shard.still_s * 1e7 + shard.stall_us + shard.in_flight / 1e6;
}

export default function Shards() {
  const state = useStore(live);
  const busy = useBusy();
  const [order, setOrder] = useState<string>(ORDERS[0]);
  const [open, setOpen] = useState<number | null>(null);
  const stale = useStale();
  const shards = [...(state.shards?.items ?? [])];
  if (order === ORDERS[0]) shards.sort((a, b) => badness(b) - badness(a));
  else if (order === ORDERS[2]) shards.sort((a, b) => b.in_flight - a.in_flight);
  const started = state.shards?.started ?? 0;
  return (
    <>
      <PageHead title="Shards">
        <span className="muted">{started === 0 ? "" : `${shards.length} of ${started} answered`}</span>
        <span title="The largest number of messages that a shard holds, divided by the mean">Imbalance <b>{times(imbalance(shards.map((shard) => shard.in_flight)))}</b></span>
        <Pick label="Order" value={order} onChange={setOrder} options={ORDERS.map((value) => ({ value, label: value }))} />
      </PageHead>
      {shards.length < started && state.atMs !== 0 && <div className="notice warn">{shards.length} of {started} shards have published figures. Missing: {missing(state.shards).join(", ")}.</div>}
      {shards.length === 0 && <Empty title="No shard has published figures yet" why="They publish once a second after their start." />}
      <div className="tiles">{shards.map((shard) => <Tile key={shard.shard} shard={shard} busy={busy.get(`shard-${shard.shard}`)} stale={stale} onOpen={() => setOpen(shard.shard)} />)}</div>
      <Machine />
      {open !== null && <Drawer shard={open} onClose={() => setOpen(null)} />}
    </>
  );
}

function missing(shards: ShardsBody | null): number[] {
  const there = new Set((shards?.items ?? []).map((shard) => shard.shard));
  return Array.from({ length: shards?.started ?? 0 }, (_, index) => index).filter((index) => !there.has(index));
}

interface TileProps {
  readonly shard: Shard;
  readonly busy: number | undefined;
  readonly stale: boolean;
  readonly onOpen: () => void;
}

function Tile({ shard, busy, stale, onOpen }: TileProps) {
  const history = useHistory({ pipeline: null, shard: shard.shard }, 60, usePaused());
  const isStill = shard.still_s > STILL_S;
  const isStalling = shard.stall_us > STALL_US;
  const cores = (history.value?.columns.get("cpu_cores") ?? []).slice(-60);
  const known = busy ?? lastOf(cores.slice(-5));
  return (
    <section className="panel" aria-label={`Shard ${shard.shard}`}>
      <div className="panel-head">
        <h2>Shard {shard.shard}</h2>
        <span className="muted">{shard.core == null ? "not pinned" : `core ${shard.core}`}</span>
        <span className="grow" />
        {isStill ? <Chip mood="bad">still {span(shard.still_s)}</Chip> : isStalling ? <Chip mood="warn">stalling</Chip> : <Chip mood={stale ? "plain" : "good"}>turning</Chip>}
      </div>
      <div className="row"><span>busy</span><b>{known === null ? "–" : percent(known)}</b></div>
      <Meter ratio={known ?? 0} mood={(known ?? 0) > 0.95 ? "warn" : "plain"} />
      <Sparkline values={cores} max={1} />
      <Facts of={[
        ["in flight", count(shard.in_flight)], ["held", bytes(shard.in_flight_bytes)],
        ["longest stall, 1 s", duration(shard.stall_us)], ["last turn", shard.still_s < 1 ? "now" : `${span(shard.still_s)} ago`],
      ]} />
      <button type="button" className="quiet" onClick={onOpen}>Details of shard {shard.shard}</button>
    </section>
  );
}
