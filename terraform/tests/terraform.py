"""Terraform without a network: finds the provider's mirror, and runs one root with its own data folder and state."""

import glob
import os
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TERRAFORM = ROOT / "terraform"
EXAMPLES = sorted(path.name for path in (TERRAFORM / "examples").iterdir() if path.is_dir())
MODULES = sorted(path.name for path in (TERRAFORM / "modules").iterdir() if path.is_dir())
WORK = ROOT / "target" / "terraform"
PROVIDER = "registry.terraform.io/hashicorp/aws"

sys.path.insert(0, str(ROOT / "deploy" / "tests"))
from layers import Failed, Skip, call  # noqa: E402, F401


def mirror():
    """Folder of a filesystem mirror that has the AWS provider; TF_MIRROR names one, else usual places are looked at."""
    places = [os.environ.get("TF_MIRROR"), *sorted(glob.glob("/opt/*")), "/usr/share/terraform/plugins", "/usr/local/share/terraform/plugins",
              os.path.expanduser("~/.terraform.d/plugins"), os.path.expanduser("~/.cache/terraform")]
    for place in filter(None, places):
        if glob.glob(f"{place}/{PROVIDER}/5.*/linux_*/terraform-provider-aws_v5*"):
            return place
    return None


def environment(name):
    """Environment of one run: own data folder, no telemetry, the mirror where there is one."""
    if shutil.which("terraform") is None:
        raise Skip("terraform is not installed: https://developer.hashicorp.com/terraform/install")
    folder = WORK / name
    folder.mkdir(parents=True, exist_ok=True)
    found = mirror()
    configuration = folder / "terraformrc"
    block = f'  filesystem_mirror {{\n    path = "{found}"\n  }}\n' if found else "  direct {}\n"
    configuration.write_text(f"provider_installation {{\n{block}}}\n", encoding="utf-8")
    return {
        "TF_CLI_CONFIG_FILE": str(configuration), "TF_DATA_DIR": str(folder / "data"), "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1",
        "AWS_EC2_METADATA_DISABLED": "true", "NO_COLOR": "1",
    }


def initialised(folder, name):
    """Initialises a root; without a provider to be had, the layer is skipped."""
    env = environment(name)
    try:
        call("terraform", "init", "-backend=false", "-input=false", "-no-color", cwd=folder, env=env, timeout=300)
    except Exception as error:
        if mirror() is None:
            text = re.sub(r"\s+", " ", str(error))[-300:]
            raise Skip(f"no mirror has {PROVIDER} 5.x (set TF_MIRROR) and the registry did not answer: {text}") from error
        raise
    return env
