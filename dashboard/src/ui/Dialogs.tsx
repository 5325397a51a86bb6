/** Questions before a change, and what came of it. */

import Button from "@mui/material/Button";
import Dialog from "@mui/material/Dialog";
import DialogActions from "@mui/material/DialogActions";
import DialogContent from "@mui/material/DialogContent";
import DialogTitle from "@mui/material/DialogTitle";
import TextField from "@mui/material/TextField";
import { useId, useState, type ReactNode } from "react";

import type { ApiProblem } from "../api/problem";
import { ProblemNotice } from "./Bits";

interface AskProps {
  readonly title: string;
  readonly action: string;
  readonly isDangerous?: boolean;
  /** What must be typed before it can be done. */
  readonly typed?: string;
  readonly isPending?: boolean;
  readonly isReady?: boolean;
  readonly error?: ApiProblem | null;
  readonly wide?: boolean;
  readonly children?: ReactNode;
  readonly onClose: () => void;
  readonly onDo: () => void;
}

export function Ask(props: AskProps) {
  const { title, action, typed, isPending = false, isReady = true, error, children, onClose, onDo } = props;
  const [text, setText] = useState("");
  const id = useId();
  const agreed = typed === undefined || text === typed;
  const submit = (event: React.SyntheticEvent) => {
    event.preventDefault();
    if (agreed && isReady && !isPending) onDo();
  };
  return (
    <Dialog open onClose={onClose} fullWidth maxWidth={props.wide === true ? "md" : "sm"} aria-labelledby={id}>
      <form onSubmit={submit} noValidate>
        <DialogTitle id={id}>{title}</DialogTitle>
        <DialogContent>
          <div className="form">
            {children}
            {typed !== undefined && <TextField label={`Type ${typed} to confirm`} value={text} onChange={(event) => setText(event.target.value)} autoComplete="off" autoFocus />}
            {error && <ProblemNotice error={error} />}
          </div>
        </DialogContent>
        <DialogActions>
          <Button onClick={onClose}>Cancel</Button>
          {/* Never disabled while it works: a disabled button loses the focus, and with it Esc. Pressing it again does nothing. */}
          <Button type="submit" variant="contained" color={props.isDangerous === true ? "error" : "primary"} disabled={!agreed || !isReady} aria-busy={isPending}>
            {isPending ? "Working…" : action}
          </Button>
        </DialogActions>
      </form>
    </Dialog>
  );
}

/** A side sheet for details. */
export function Sheet({ title, onClose, children, wide }: { readonly title: string; readonly onClose: () => void; readonly children: ReactNode; readonly wide?: boolean }) {
  const id = useId();
  return (
    <Dialog open onClose={onClose} fullWidth maxWidth={wide === true ? "lg" : "md"} aria-labelledby={id}>
      <DialogTitle id={id}>{title}</DialogTitle>
      <DialogContent dividers><div className="stack">{children}</div></DialogContent>
      <DialogActions><Button onClick={onClose}>Close</Button></DialogActions>
    </Dialog>
  );
}

/** Saves text as a file of the reader. */
export function download(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
