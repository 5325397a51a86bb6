/** What stands around every page: menu, strip, law, banners, keys. */

import Button from "@mui/material/Button";
import { Suspense, useEffect, useRef, useState } from "react";
import { NavLink, Outlet, useLocation } from "react-router";

import { lookAt } from "../api/instances";
import { live } from "../api/live";
import { useAlerts } from "../api/queries";
import { signOut, type Me } from "../api/session";
import { useStore } from "../api/store";
import { Choice, Pick } from "./Bits";
import { Keys } from "./Keys";
import { Mark } from "./Mark";
import { SCREENS } from "./screens";
import { Banners, Strip } from "./Strip";
import { applyTheme, themeChoice, type ThemeChoice } from "./theme";
import { paused, SPANS, usePaused, useView } from "./view";

const THEMES: readonly { readonly value: ThemeChoice; readonly label: string }[] = [
  { value: "system", label: "System" }, { value: "light", label: "Light" }, { value: "dark", label: "Dark" }, { value: "contrast", label: "High contrast" },
];

export function Shell({ me }: { readonly me: Me }) {
  const [isOpen, setOpen] = useState(false);
  const { pathname } = useLocation();
  const main = useRef<HTMLElement>(null);
  const before = useRef(pathname);
  useEffect(() => {
    document.title = `${SCREENS.find((screen) => screen.path === pathname)?.label ?? "Millrace"} · Millrace`;
    if (before.current === pathname) return;
    before.current = pathname;
    setOpen(false);
    // A new page is announced from its beginning.
    main.current?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [pathname]);
  return (
    <div className="shell">
      <a className="skip" href="#content">Skip to the content</a>
      <Menu isOpen={isOpen} onClose={() => setOpen(false)} />
      <div className="main">
        <header className="top">
          <TopBar me={me} onMenu={() => setOpen(true)} />
          <Strip />
        </header>
        <Banners />
        <main className="content" id="content" ref={main} tabIndex={-1}>
          <Suspense fallback={<div className="skeleton" aria-busy="true" />}><Outlet /></Suspense>
        </main>
      </div>
      <Keys />
      <Announcer />
    </div>
  );
}

function Menu({ isOpen, onClose }: { readonly isOpen: boolean; readonly onClose: () => void }) {
  const { search } = useLocation();
  const firing = useAlerts().data?.items.filter((alert) => alert.state === "firing").length ?? 0;
  const groups = [...new Set(SCREENS.map((screen) => screen.group))];
  const nav = useRef<HTMLElement>(null);
  useEffect(() => {
    if (isOpen) nav.current?.querySelector<HTMLElement>("a")?.focus();
  }, [isOpen]);
  return (
    <nav className={isOpen ? "nav is-open" : "nav"} aria-label="Screens" ref={nav} onKeyDown={(event) => { if (event.key === "Escape") onClose(); }}>
      <NavLink className="brand" to={{ pathname: "/", search }} aria-label="Millrace: Overview"><Mark /> Millrace</NavLink>
      {isOpen && <button type="button" className="quiet" onClick={onClose}>Close menu</button>}
      {groups.map((group) => (
        <div key={group}>
          <h2>{group}</h2>
          {SCREENS.filter((screen) => screen.group === group).map((screen) => (
            <NavLink key={screen.path} className="go" to={{ pathname: screen.path, search }} end onClick={onClose}>
              <span>{screen.label}{screen.path === "/alerts" && firing > 0 && <b className="bad-text"> ({firing})</b>}</span>
              <kbd aria-hidden="true">{screen.key}</kbd>
            </NavLink>
          ))}
        </div>
      ))}
    </nav>
  );
}

function TopBar({ me, onMenu }: { readonly me: Me; readonly onMenu: () => void }) {
  const [view, change] = useView();
  const isPaused = usePaused();
  const state = useStore(live);
  return (
    <div className="bar-row">
      <span className="menu-button"><Button onClick={onMenu}>Menu</Button></span>
      <Pick
        label="Pipeline" value={view.pipeline ?? ""} onChange={(name) => change({ pipeline: name === "" ? null : name })}
        options={[{ value: "", label: "all" }, ...state.pipelines.map((one) => ({ value: one.name, label: one.name }))]}
      />
      <InstancePick />
      <Choice label="Span" value={view.spanS} onChange={(spanS) => change({ spanS })} options={SPANS.map((one) => ({ value: one.seconds, label: one.label }))} />
      <Button onClick={() => paused.set(!isPaused)} aria-pressed={isPaused} variant={isPaused ? "contained" : "outlined"}>{isPaused ? "Go on" : "Pause drawing"}</Button>
      {view.toMs !== null && <Button onClick={() => change({ toMs: null })}>Back to now</Button>}
      <span className="grow" />
      {state.instance && state.instances.length < 2 && <span className="muted" title={`${state.instance.version} (${state.instance.commit})`}>{state.instance.name} · {state.instance.shards} {state.instance.shards === 1 ? "shard" : "shards"}</span>}
      <ThemePick />
      <span className="muted">{me.name} · {me.role}</span>
      <Button onClick={() => void signOut()}>Sign out</Button>
    </div>
  );
}

/** A choice only where there is one; a link to a data plane that is gone still says so. */
function InstancePick() {
  const [view, change] = useView();
  const { instances } = useStore(live);
  const { instance } = view;
  useEffect(() => (instance === null ? undefined : lookAt(instance)), [instance]);
  if (instances.length < 2 && instance === null) return null;
  const names = instances.map((one) => one.name);
  const gone = instance !== null && !names.includes(instance) ? [{ value: instance, label: `${instance} (gone)` }] : [];
  return (
    <Pick
      label="Instance" value={instance ?? ""} onChange={(name) => change({ instance: name === "" ? null : name })}
      options={[{ value: "", label: `all ${instances.length}` }, ...instances.map((one) => ({ value: one.name, label: one.stale ? `${one.name} (silent)` : one.name })), ...gone]}
    />
  );
}

function ThemePick() {
  const [theme, setTheme] = useState(themeChoice);
  const choose = (value: string) => {
    const choice = THEMES.find((one) => one.value === value)?.value ?? "system";
    setTheme(choice);
    applyTheme(choice);
  };
  useEffect(() => {
    const media = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => { if (themeChoice() === "system") applyTheme("system"); };
    media.addEventListener("change", follow);
    return () => media.removeEventListener("change", follow);
  }, []);
  return <Pick label="Theme" value={theme} onChange={choose} options={THEMES} />;
}

/** Speaks at most every ten seconds: what has changed in the state of pipelines. */
const SPEAK_MS = 10_000;

function Announcer() {
  const state = useStore(live);
  const text = state.pipelines.map((one) => `${one.name} is ${one.state}`).join(", ");
  const [said, setSaid] = useState("");
  const spoke = useRef(0);
  useEffect(() => {
    const wait = Math.max(0, spoke.current + SPEAK_MS - Date.now());
    const timer = setTimeout(() => { spoke.current = Date.now(); setSaid(text); }, wait);
    return () => clearTimeout(timer);
  }, [text]);
  return <div className="sr" role="status">{said}</div>;
}
