/** Configurations that were in force, and backups of the store. */

import Button from "@mui/material/Button";
import { useState } from "react";

import { diffConfig, restoreBackup, rollbackConfig, takeBackup, useChange } from "../api/actions";
import { useBackups, useVersion, useVersions } from "../api/queries";
import { sessionsEnded } from "../api/session";
import { bytes, count, moment } from "../units";
import { Empty, Panel, ProblemNotice, Read, RoleButton, useMay } from "../ui/Bits";
import { Ask } from "../ui/Dialogs";
import { Differences } from "./Config";

export function History({ etag }: { readonly etag: string }) {
  const versions = useVersions();
  const [open, setOpen] = useState<number | null>(null);
  return (
    <Panel title="History">
      <Read of={versions} what="History">
        {(data) => {
          const items = data.pages.flatMap((page) => page.items);
          if (items.length === 0) return <Empty title="No version is kept" why="Each configuration that comes into force is kept here." />;
          return (
            <>
              <div className="scroll" tabIndex={0} role="region" aria-label="Versions">
                <table className="grid">
                  <thead><tr><th scope="col">version</th><th scope="col">since</th><th scope="col">by</th><th scope="col">why</th><th scope="col"><span className="sr">open</span></th></tr></thead>
                  <tbody>
                    {items.map((one) => (
                      <tr key={one.id}><th scope="row">{one.id}{`"${one.tag}"` === etag || one.tag === etag ? " (in force)" : ""}</th><td>{moment(one.at_ms)}</td><td>{one.principal}, {one.origin}</td><td>{one.comment}</td><td><Button onClick={() => setOpen(one.id)}>Open version {one.id}</Button></td></tr>
                    ))}
                  </tbody>
                </table>
              </div>
              {versions.hasNextPage && <Button onClick={() => void versions.fetchNextPage()} disabled={versions.isFetchingNextPage}>Older ones</Button>}
            </>
          );
        }}
      </Read>
      {open !== null && <Version id={open} etag={etag} onClose={() => setOpen(null)} />}
    </Panel>
  );
}

function Version({ id, etag, onClose }: { readonly id: number; readonly etag: string; readonly onClose: () => void }) {
  const version = useVersion(id);
  const diff = useChange(diffConfig);
  const back = useChange(rollbackConfig, ["config", "versions", "audit", "rate"]);
  const may = useMay("admin");
  const compare = () => { if (version.data) diff.mutate(version.data.toml); };
  return (
    <Ask title={`Version ${id}`} action={diff.data ? "Roll back to it" : "Compare with what is in force"} wide isReady={version.data !== undefined && (diff.data === undefined || may)} isPending={back.isPending || diff.isPending} error={back.error ?? diff.error}
      onClose={onClose} onDo={() => (diff.data ? back.mutate({ version: id, comment: "", etag }, { onSuccess: onClose }) : compare())}>
      {diff.data && <Differences items={diff.data.items} />}
      {!may && <p className="muted">Rolling back needs the role admin.</p>}
      <Read of={version} what={`Version ${id}`}>{(it) => <pre className="record" tabIndex={0} aria-label={`Text of version ${id}`}>{it.toml}</pre>}</Read>
    </Ask>
  );
}

export function Backups() {
  const may = useMay("admin");
  const backups = useBackups(may);
  const taking = useChange(takeBackup, ["backups", "audit"]);
  const [open, setOpen] = useState<string | null>(null);
  if (!may) return <Panel title="Backups"><p className="muted">Backups of users, keys, audit log and history need the role admin.</p></Panel>;
  return (
    <Panel title="Backups" tools={<RoleButton needs="admin" disabled={taking.isPending} onClick={() => taking.mutate(undefined)}>Back up now</RoleButton>}>
      {taking.error && <ProblemNotice error={taking.error} what="Backup" />}
      {taking.data && <div className="notice good" role="status">{taking.data.name}: {bytes(taking.data.bytes)}</div>}
      <Read of={backups} what="Backups">
        {(data) => data.items.length === 0 ? <Empty title="No backup yet" why="Users, keys, audit log and history go into one file beside the store; secrets of the configuration are not in it." command="millrace backup" /> : (
          <div className="scroll" tabIndex={0} role="region" aria-label="Backups"><table className="grid">
            <thead><tr><th scope="col">backup</th><th scope="col">taken</th><th scope="col" className="number">size</th><th scope="col"><span className="sr">restore</span></th></tr></thead>
            <tbody>{data.items.map((one) => <tr key={one.name}><th scope="row" className="mono">{one.name}</th><td>{moment(one.created_ms)}</td><td className="number">{bytes(one.bytes)}</td><td><Button onClick={() => setOpen(one.name)}>Restore…</Button></td></tr>)}</tbody>
          </table></div>
        )}
      </Read>
      {open !== null && <RestoreAsk name={open} onClose={() => setOpen(null)} />}
    </Panel>
  );
}

function backText(before: string | null | undefined): string {
  return `The backup is back.${before == null ? "" : ` What was there before is in ${before}.`}`;
}

async function restoreForGood(name: string) {
  const done = await restoreBackup({ name, dryRun: false });
  sessionsEnded(backText(done.safety_backup));
  return done;
}

function RestoreAsk({ name, onClose }: { readonly name: string; readonly onClose: () => void }) {
  const preview = useChange(restoreBackup);
  const restoring = useChange(restoreForGood, ["backups", "users", "keys", "audit", "versions", "baselines"]);
  const shown = restoring.data ?? preview.data;
  const run = () => {
    if (restoring.data) onClose();
    else if (preview.data) restoring.mutate(name);
    else preview.mutate({ name, dryRun: true });
  };
  return (
    <Ask title="Bring a backup back" action={restoring.data ? "Done" : preview.data ? "Restore" : "Show what would change"} isDangerous={preview.data !== undefined && restoring.data === undefined} isPending={preview.isPending || restoring.isPending} error={restoring.error ?? preview.error} onClose={onClose} onDo={run}>
      <p className="mono">{name}</p>
      {!shown && <p>Nothing is changed before you have seen what would be.</p>}
      {shown && (
        <table className="grid">
          <thead><tr><th scope="col">table</th><th scope="col" className="number">rows now</th><th scope="col" className="number">rows then</th></tr></thead>
          <tbody>{shown.tables.map((table) => <tr key={table.name}><th scope="row">{table.name}</th><td className="number">{count(table.rows_before)}</td><td className="number">{count(table.rows_after)}</td></tr>)}</tbody>
        </table>
      )}
      {!restoring.data && <p className="muted">Bringing it back ends every session, yours too: all sign in again, with the passwords of then.</p>}
      {restoring.data && <div className="notice good" role="status">{backText(restoring.data.safety_backup)}</div>}
    </Ask>
  );
}
