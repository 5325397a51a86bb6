#!/usr/bin/env python3
"""Writes the tables of inputs and outputs into the READMEs of terraform/ and its modules: python terraform/tests/readme.py"""

import re
import sys
from pathlib import Path

TERRAFORM = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- tables: terraform/tests/readme.py -->", "<!-- end of tables -->"


def blocks(path, kind):
    """Name and text of each variable or output of a file."""
    return re.findall(rf'^{kind} "(\w+)" \{{\n(.*?)^\}}', path.read_text(encoding="utf-8"), re.S | re.M)


def first(pattern, text):
    """First group of a pattern, or nothing."""
    found = re.search(pattern, text, re.S | re.M)
    return found.group(1).strip() if found else ""


def kind_of(text):
    """A type on one line; the fields of an object are told by the description."""
    return first(r"^  type\s+= (\w+(?:\(\w+\))?)", text)


def tables(folder):
    """Inputs and outputs of a folder as Markdown."""
    lines = ["", "| input | type | default | what it is |", "|---|---|---|---|"]
    for name, text in sorted(blocks(folder / "variables.tf", "variable")):
        default = first(r"^  default\s+= ([^\n]+)", text)
        shown = "needed" if not default else f"`{default}`"
        lines.append(f"| `{name}` | {kind_of(text)} | {shown} | {description(text)} |")
    lines += ["", "| output | what it is |", "|---|---|"]
    lines += [f"| `{name}` | {description(text)} |" for name, text in sorted(blocks(folder / "outputs.tf", "output"))]
    return "\n".join([*lines, ""])


def description(text):
    """A description, fit for a table."""
    return first(r'^  description\s+= "((?:[^"\\]|\\.)*)"', text).replace("\\\\", "\\").replace('\\"', '"').replace("|", "\\|")


def folders():
    """The root and each module."""
    return [TERRAFORM, *sorted(path for path in (TERRAFORM / "modules").iterdir() if path.is_dir())]


def wanted(folder):
    """A README as it should be."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    head, rest = text.split(BEGIN, 1)
    return f"{head}{BEGIN}\n{tables(folder)}{END}{rest.split(END, 1)[1]}"


if __name__ == "__main__":
    for one in folders():
        (one / "README.md").write_text(wanted(one), encoding="utf-8")
    sys.exit(0)
