"""Runs the layers of a check by name and says which ran: a layer that cannot run is a failure in CI unless it is allowed by name.

ALLOW_SKIPPED="layer,layer" allows; without CI=true a skip is only told.
"""

import os
import signal
import subprocess
import sys
import threading
import time
import traceback


class Skip(Exception):
    """The layer cannot run here, and why."""


class Failed(Exception):
    """The layer ran and found something."""


class Layers:
    """What ran, failed and was skipped."""

    def __init__(self):
        self.allowed = {name for name in os.environ.get("ALLOW_SKIPPED", "").split(",") if name}
        self.rows = []
        self.lock = threading.Lock()

    def run(self, name, work):
        """Runs one layer; `work` returns a line that says what it saw."""
        began = time.monotonic()
        try:
            outcome, text = "ok", work() or ""
        except Skip as why:
            is_fine = name in self.allowed or os.environ.get("CI") != "true"
            outcome, text = ("skipped" if is_fine else "FAILED"), f"skipped: {why}"
        except (Failed, AssertionError) as why:
            outcome, text = "FAILED", str(why) or traceback.format_exc()
        except Exception:  # a fault of the check itself must not hide the other layers
            outcome, text = "FAILED", traceback.format_exc()
        with self.lock:
            self.rows.append((name, outcome))
            print(f"{outcome:8} {name:34} {time.monotonic() - began:6.1f} s  {text}", flush=True)
        return outcome == "ok"

    def end(self):
        """Prints the count and ends the process."""
        count = {outcome: sum(row[1] == outcome for row in self.rows) for outcome in ("ok", "FAILED", "skipped")}
        for name in sorted(self.allowed - {row[0] for row in self.rows}):
            print(f"ALLOW_SKIPPED names {name}, which is no layer of this run")
        print(f"{count['ok']} passed, {count['FAILED']} failed, {count['skipped']} skipped")
        sys.exit(1 if count["FAILED"] or not count["ok"] else 0)


def call(*command, env=None, cwd=None, timeout=600, stdin=None, codes=(0,)):
    """Runs a program and returns what it printed; another exit code is a failure that shows it."""
    # In a session of its own: what the program started, such as Terraform's provider, ends with it when the time is over.
    with subprocess.Popen([str(part) for part in command], env={**os.environ, **(env or {})}, cwd=cwd, stdin=subprocess.PIPE if stdin else None,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            out, err = process.communicate(stdin, timeout=timeout)
        except BaseException as end:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            if isinstance(end, subprocess.TimeoutExpired):
                raise Failed(f"{' '.join(str(part) for part in command[:4])} ... took longer than {timeout} s:\n{(out + err)[-2500:]}") from end
            raise
    if process.returncode not in codes:
        raise Failed(f"{' '.join(str(part) for part in command[:4])} ... ended with {process.returncode}:\n{(out + err)[-4000:]}")
    return out


def inside(folder, user):
    """The beginning of a command that runs below a folder as a user, with /proc and /sys as in a container. They go with the process."""
    mounts = 'mount --rbind /sys "$0/sys" && mount -t proc proc "$0/proc" && exec chroot --userspec="$1" "$0" "${@:2}"'
    return ["unshare", "--mount", "bash", "-c", mounts, str(folder), user]
