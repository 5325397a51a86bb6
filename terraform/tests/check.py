#!/usr/bin/env python3
"""What can be said about terraform/ without applying it: format, validity, mocked tests, policies, scanners, the scripts it renders.

    python terraform/tests/check.py

The emulated runs are apart: terraform/tests/emulated/run.py.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import readme
from terraform import EXAMPLES, MODULES, ROOT, TERRAFORM, Failed, Skip, call, environment, initialised
from layers import Layers

CHECKOV = Path(os.environ.get("CHECKOV", ROOT / "target" / "checkov" / "bin" / "checkov"))
TFLINT = Path(os.environ.get("TFLINT", ROOT / "target" / "go" / "tflint"))


def formatted():
    call("terraform", "fmt", "-check", "-recursive", TERRAFORM, env=environment("fmt"))


def documented():
    """Each module says what it is for and shows how it is used; each variable and output has a description."""
    missing = []
    for folder in [TERRAFORM, *(TERRAFORM / "modules" / module for module in MODULES)]:
        names = {path.name for path in folder.iterdir()}
        missing += [f"{folder.name}: {name}" for name in ("main.tf", "variables.tf", "outputs.tf", "versions.tf", "README.md") if name not in names]
        for file, kind in (("variables.tf", "variable"), ("outputs.tf", "output")):
            missing += [f"{folder.name}/{file}: {name} has no description" for name, text in readme.blocks(folder / file, kind) if "description" not in text]
        if "README.md" in names and readme.wanted(folder) != (folder / "README.md").read_text():
            missing.append(f"{folder.name}/README.md: its tables are old, run terraform/tests/readme.py")
    assert not missing, "; ".join(missing)
    return f"{len(MODULES) + 1} READMEs"


def valid():
    for example in EXAMPLES:
        folder = TERRAFORM / "examples" / example
        call("terraform", "validate", "-no-color", cwd=folder, env=initialised(folder, f"validate-{example}"), timeout=300)
    return f"{len(EXAMPLES)} examples, and every module through them"


def tests(which):
    env = initialised(TERRAFORM, f"tests-{which}")
    # Test folders are read at init too.
    call("terraform", "init", "-backend=false", "-input=false", "-no-color", f"-test-directory=tests/{which}", cwd=TERRAFORM, env=env, timeout=180)
    text = call("terraform", "test", "-no-color", f"-test-directory=tests/{which}", cwd=TERRAFORM, env=env, timeout=600)
    found = re.search(r"(\d+) passed, (\d+) failed", text)
    assert found and int(found.group(1)) > 0, text[-2000:]
    return f"{found.group(1)} runs"


def scanned():
    if not CHECKOV.exists():
        raise Skip(f"{CHECKOV} is not installed")
    # Files that it cannot read are told only in its count: they would pass unseen.
    text = call(CHECKOV, "-d", TERRAFORM, "--config-file", TERRAFORM / ".checkov.yaml", timeout=400)
    assert "Parsing errors" not in text, text
    return " ".join(re.findall(r"Passed checks.*", text))


def linted():
    if not TFLINT.exists():
        raise Skip(f"{TFLINT} is not installed")
    call(TFLINT, f"--chdir={TERRAFORM}", "--recursive", "--config", TERRAFORM / ".tflint.hcl", timeout=120)


def scripts():
    """The preparation of each kind of machine, rendered by Terraform, through shellcheck; what it writes is parsed."""
    if shutil.which("shellcheck") is None:
        raise Skip("shellcheck is not installed")
    profile = json.loads((ROOT / "deploy" / "seccomp" / "millrace.json").read_text())
    package = '{bucket = "b", key = "p.%s", sha256 = "0"}'
    cases = {
        "compute_ecs": ['{cluster = "orders", profile = PROFILE}'],
        "compute_eks": ["{profile = PROFILE}"],
        "compute_ec2": [
            f'{{region = "eu-west-1", configuration = "[drain]", package = {shape}, password = {secret}}}'
            for shape in ("null", package % "deb", package % "tar.gz") for secret in ("null", '"arn:secret"')
        ],
    }
    count = 0
    for module, variables in cases.items():
        for values in variables:
            script = rendered(module, values, profile)
            with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
                file.write(script)
                file.flush()
                call("shellcheck", "--severity=style", file.name)
            for name, text in re.findall(r"cat > (\S+\.json) <<'\w+'\n(.*?)\n[A-Z]+\n", script, re.S):
                written = json.loads(text)
                if "seccomp" in name or "profiles" in name:
                    assert written == profile, f"{module}: {name} is not deploy/seccomp/millrace.json"
            count += 1
    return f"{count} scripts"


def rendered(module, values, profile):
    """A template as `terraform console` renders it."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(TERRAFORM / "modules" / module / "host.sh.tftpl", folder)
        Path(folder, "profile.json").write_text(json.dumps(profile))
        expression = f'jsonencode(templatefile("host.sh.tftpl", {values.replace("PROFILE", "file(" + chr(34) + "profile.json" + chr(34) + ")")}))'
        done = subprocess.run(["terraform", "console"], input=expression, cwd=folder, text=True, capture_output=True, timeout=60,
                              env={**os.environ, **environment("console")}, check=False)
        if done.returncode:
            raise Failed(f"{module}: {done.stderr[-1500:]}")
        return json.loads(json.loads(done.stdout))


def events():
    """What the log's metric filters look for is what the program logs."""
    text = (TERRAFORM / "modules" / "observability" / "main.tf").read_text()
    named = set(re.findall(r'\$\.event = \\"(\w+)\\"', text))
    source = "".join(path.read_text() for crate in ("controlplane", "dataplane") for path in (ROOT / crate / "src").rglob("*.rs"))
    unknown = [name for name in named if f'event = "{name}"' not in source]
    assert named and not unknown, f"the program logs no event {unknown}"
    return f"{len(named)} events"


def main():
    layers = Layers()
    layers.run("terraform fmt", formatted)
    layers.run("terraform documents", documented)
    layers.run("terraform validate", valid)
    layers.run("terraform mocked tests", lambda: tests("unit"))
    layers.run("terraform policy tests", lambda: tests("policy"))
    layers.run("terraform scripts", scripts)
    layers.run("terraform log events", events)
    layers.run("tflint", linted)
    layers.run("checkov terraform", scanned)
    layers.end()


main()
