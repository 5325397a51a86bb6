/** One shard in full, and the machine that all of them share. */

import { useHistory } from "../api/hooks";
import { live } from "../api/live";
import { useSystem } from "../api/queries";
import { useStore } from "../api/store";
import { lastOf, LineChart } from "../charts/LineChart";
import { bytes, count, duration, percent, short, span } from "../units";
import { Facts, Panel, Read } from "../ui/Bits";
import { Sheet } from "../ui/Dialogs";
import { usePaused } from "../ui/view";

export function Drawer({ shard, onClose }: { readonly shard: number; readonly onClose: () => void }) {
  const state = useStore(live);
  const history = useHistory({ pipeline: null, shard }, 600, usePaused());
  const at = history.value?.at ?? [];
  const column = (name: string) => history.value?.columns.get(name) ?? [];
  const found = state.shards?.items.find((one) => one.shard === shard);
  const stalls = column("stall_seconds").map((value) => (value === null ? null : value * 1e6));
  return (
    <Sheet title={`Shard ${shard}`} onClose={onClose} wide>
      {found && <Facts of={[["turns of its clock", count(found.turns)], ["core", found.core == null ? "not pinned" : String(found.core)], ["in flight", count(found.in_flight)], ["held", bytes(found.in_flight_bytes)]]} />}
      <LineChart title="Busy" at={at} lines={[{ key: "cpu", label: "cores", look: 0, values: column("cpu_cores") }]} format={short} sync="shard" sentence={`${short(lastOf(column("cpu_cores")) ?? 0)} of a core in the last second.`} />
      <LineChart title="Longest stall" at={at} isDuration lines={[{ key: "stall", label: "stall", look: 1, values: stalls }]} format={duration} sync="shard" sentence="Longest time between two turns that were due, within each second." />
      <LineChart title="In flight" at={at} lines={[{ key: "held", label: "messages", look: 2, values: column("in_flight") }]} format={count} sync="shard" sentence={`${count(lastOf(column("in_flight")))} messages held.`} />
      <table className="grid">
        <thead><tr><th scope="col">pipeline</th><th scope="col">state here</th><th scope="col" className="number">in flight</th><th scope="col" className="number">receives in flight</th><th scope="col">why</th></tr></thead>
        <tbody>
          {state.pipelines.flatMap((one) => one.shards.filter((on) => on.shard === shard).map((on) => (
            <tr key={one.name}><th scope="row">{one.name}</th><td>{on.state}</td><td className="number">{count(on.in_flight)}</td><td className="number">{count(on.pollers)}</td><td>{on.reason}</td></tr>
          )))}
        </tbody>
      </table>
    </Sheet>
  );
}

/** The kernel counts the CPU of threads in ticks of this length. Source: proc(5), USER_HZ. */
const TICK_S = 0.01;

export function Machine() {
  const system = useSystem();
  return (
    <Panel title="Process and machine">
      <Read of={system} what="Figures of the kernel">
        {(it) => (
          <div className="stack">
            <Facts of={[
              ["resident", bytes(it.process.resident_bytes)], ["peak", bytes(it.process.resident_peak_bytes)], ["swapped", bytes(it.process.swapped_bytes)],
              ["threads", count(it.process.threads)], ["descriptors", `${count(it.descriptors.open)} of ${count(it.descriptors.max)}`], ["io_uring", count(it.descriptors.io_uring)],
              ["disk of the store", it.disk ? `${bytes(it.disk.free_bytes)} free (${percent(it.disk.free_ratio)})` : "–"],
              ["memory free", it.memory ? `${bytes(it.memory.available_bytes)} of ${bytes(it.memory.total_bytes)}` : "–"],
              ["waited for a core", percent(it.pressure.cpu_ratio)], ["waited for memory", percent(it.pressure.memory_ratio)], ["waited for disks", percent(it.pressure.io_ratio)],
            ]} />
            <div className="scroll" tabIndex={0} role="region" aria-label="Threads">
              <table className="grid">
                <thead><tr><th scope="col">thread</th><th scope="col" className="number">CPU since the start</th><th scope="col" className="number">switches, idle</th><th scope="col" className="number">switches, pushed off</th></tr></thead>
                <tbody>{it.threads.map((thread) => <tr key={thread.name}><th scope="row">{thread.name}{thread.count > 1 ? ` × ${thread.count}` : ""}</th><td className="number">{thread.cpu_seconds < TICK_S ? "< 10 ms" : span(thread.cpu_seconds)}</td><td className="number">{count(thread.voluntary_switches)}</td><td className="number">{count(thread.involuntary_switches)}</td></tr>)}</tbody>
              </table>
            </div>
          </div>
        )}
      </Read>
    </Panel>
  );
}
