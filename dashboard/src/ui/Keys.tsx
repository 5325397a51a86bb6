/** The keyboard: keys that work everywhere, their sheet, and the palette. */

import Dialog from "@mui/material/Dialog";
import DialogTitle from "@mui/material/DialogTitle";
import DialogContent from "@mui/material/DialogContent";
import { useEffect, useRef, useState } from "react";
import { useLocation, useNavigate } from "react-router";

import { live } from "../api/live";
import { signOut } from "../api/session";
import { useStore } from "../api/store";
import { KEYS, SCREENS } from "./screens";
import { applyTheme } from "./theme";
import { paused, STAGES, useView } from "./view";

/** Time for the letter after `g`. */
const CHORD_MS = 1_200;

/** Whether a key belongs to what has the focus. */
function isTyped(event: KeyboardEvent): boolean {
  const target = event.target;
  return target instanceof HTMLElement && (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName));
}

function isPressed(event: KeyboardEvent): boolean {
  return event.target instanceof HTMLElement && ["BUTTON", "A", "SUMMARY"].includes(event.target.tagName);
}

export function Keys() {
  const [sheet, setSheet] = useState(false);
  const [palette, setPalette] = useState(false);
  const [view, change] = useView();
  const navigate = useNavigate();
  const { search } = useLocation();
  const chord = useRef(0);

  useEffect(() => {
    const window_ = (by: number) => {
      const to = (view.toMs ?? Date.now()) + by * view.spanS * 1_000;
      change({ toMs: to >= Date.now() - 1_000 ? null : Math.round(to) });
    };
    const stage = (index: number) => {
      const key = STAGES[index]?.key;
      if (key === undefined) return;
      change({ stages: view.stages.includes(key) ? view.stages.filter((one) => one !== key) : [...view.stages, key] });
    };
    const plain = (event: KeyboardEvent): boolean => {
      const { key } = event;
      if (Date.now() - chord.current < CHORD_MS) {
        chord.current = 0;
        const screen = SCREENS.find((one) => one.key === key);
        if (screen) { void navigate({ pathname: screen.path, search }); return true; }
      }
      if (key === "g") chord.current = Date.now();
      else if (key === "?") setSheet(true);
      else if (key === " " && !isPressed(event)) paused.update((value) => !value);
      else if (key === "[" || key === "]") window_(key === "[" ? -1 : 1);
      else if (/^[1-7]$/.test(key)) stage(Number(key) - 1);
      else if (key === "/") {
        const filter = document.querySelector<HTMLElement>("[data-filter] input, input[data-filter], textarea[data-filter]");
        if (!filter) return false;
        filter.focus();
      } else if (key === "b") {
        const save = document.querySelector<HTMLElement>("[data-key=b]");
        if (!save) return false;
        save.click();
      } else return false;
      return true;
    };
    const onKey = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); setPalette(true); return; }
      if (event.ctrlKey || event.metaKey || event.altKey || isTyped(event) || document.querySelector("[role=dialog]")) return;
      if (plain(event)) event.preventDefault();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [view, change, navigate, search]);

  return (
    <>
      {sheet && <KeySheet onClose={() => setSheet(false)} />}
      {palette && <Palette onClose={() => setPalette(false)} />}
    </>
  );
}

function KeySheet({ onClose }: { readonly onClose: () => void }) {
  return (
    <Dialog open onClose={onClose} aria-labelledby="keys-title" maxWidth="sm" fullWidth>
      <DialogTitle id="keys-title">Keys</DialogTitle>
      <DialogContent><KeyTable /></DialogContent>
    </Dialog>
  );
}

export function KeyTable() {
  return (
    <table className="grid">
      <thead><tr><th scope="col">key</th><th scope="col">does</th></tr></thead>
      <tbody>
        {KEYS.map((one) => <tr key={one.keys}><th scope="row"><kbd>{one.keys}</kbd></th><td>{one.does}</td></tr>)}
        {SCREENS.map((one) => <tr key={one.key}><th scope="row"><kbd>g {one.key}</kbd></th><td>{one.label}</td></tr>)}
      </tbody>
    </table>
  );
}

interface Entry {
  readonly label: string;
  readonly run: () => void;
}

/** Entries that are shown. */
const SHOWN_MAX = 12;

function Palette({ onClose }: { readonly onClose: () => void }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const [, change] = useView();
  const navigate = useNavigate();
  const { search } = useLocation();
  const pipelines = useStore(live).pipelines;
  const entries: Entry[] = [
    ...SCREENS.map((screen) => ({ label: `Go to ${screen.label}`, run: () => void navigate({ pathname: screen.path, search }) })),
    ...pipelines.map((one) => ({ label: `Look at pipeline ${one.name}`, run: () => change({ pipeline: one.name }) })),
    { label: "Look at all pipelines", run: () => change({ pipeline: null }) },
    { label: "Pause or go on drawing", run: () => paused.update((value) => !value) },
    ...(["light", "dark", "contrast", "system"] as const).map((theme) => ({ label: `Theme: ${theme}`, run: () => applyTheme(theme) })),
    { label: "Sign out", run: () => void signOut() },
  ];
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = entries.filter((entry) => words.every((word) => entry.label.toLowerCase().includes(word))).slice(0, SHOWN_MAX);
  const run = (entry: Entry | undefined) => { if (entry) { onClose(); entry.run(); } };
  const onKey = (event: React.KeyboardEvent) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setAt((value) => Math.min(found.length - 1, Math.max(0, value + (event.key === "ArrowDown" ? 1 : -1))));
    } else if (event.key === "Enter") { event.preventDefault(); run(found[at]); }
  };
  return (
    <Dialog open onClose={onClose} aria-label="Palette" maxWidth="sm" fullWidth>
      <DialogContent>
        <label className="field">Find
          <input
            autoFocus value={text} role="combobox" aria-expanded="true" aria-controls="palette-list" aria-activedescendant={`palette-${at}`}
            onChange={(event) => { setText(event.target.value); setAt(0); }} onKeyDown={onKey}
          />
        </label>
        <ul id="palette-list" role="listbox" aria-label="Results">
          {found.map((entry, index) => (
            <li key={entry.label} id={`palette-${index}`} role="option" aria-selected={index === at} className={index === at ? "chip plain" : ""} onClick={() => run(entry)}>{entry.label}</li>
          ))}
        </ul>
      </DialogContent>
    </Dialog>
  );
}
