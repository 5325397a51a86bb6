"""One example on an emulator of its own: start, apply, plan again, destroy, stop."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from terraform import ROOT, TERRAFORM, WORK, Failed, call, initialised  # noqa: E402, F401

REGION = "us-east-1"
HERE = Path(__file__).resolve().parent
# Everything has an end: an emulator that lacks a call makes the provider wait for minutes.
APPLY_SECONDS, PLAN_SECONDS, DESTROY_SECONDS = 600, 240, 500


class Stack:
    """An example and its emulator."""

    def __init__(self, example):
        self.example = example
        self.folder = TERRAFORM / "examples" / example
        self.work = WORK / f"emulated-{example}"
        self.state = self.work / "terraform.tfstate"
        self.variables = HERE / f"{example}.tfvars.json"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.emulator = None
        self.env = None

    def __enter__(self):
        self.env = initialised(self.folder, f"emulated-{self.example}") | {
            "AWS_ENDPOINT_URL": self.url, "AWS_MAX_ATTEMPTS": "2", "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "emulated", "AWS_SECRET_ACCESS_KEY": "emulated",
        }
        self.state.unlink(missing_ok=True)
        with open(self.work / "emulator.log", "w", encoding="utf-8") as log:
            self.emulator = subprocess.Popen([sys.executable, str(HERE / "emulator.py"), str(self.port)], stdout=log, stderr=log)
        until = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/moto-api/", timeout=2).close()
                return self
            except OSError as error:
                if time.monotonic() > until or self.emulator.poll() is not None:
                    raise Failed(f"the emulator did not start: {(self.work / 'emulator.log').read_text()[-2000:]}") from error
                time.sleep(0.2)

    def __exit__(self, *_):
        if self.emulator is not None and self.emulator.poll() is None:
            self.emulator.send_signal(signal.SIGTERM)
            try:
                self.emulator.wait(10)
            except subprocess.TimeoutExpired:
                self.emulator.kill()

    def terraform(self, verb, *arguments, timeout, codes=(0,)):
        """One call of terraform on this example's state."""
        return call("terraform", verb, *arguments, cwd=self.folder, env=self.env, timeout=timeout, codes=codes)

    def apply(self):
        """Applies and returns the number of resources made."""
        text = self.terraform("apply", "-auto-approve", "-input=false", "-no-color", "-parallelism=20", f"-state={self.state}",
                              f"-var-file={self.variables}", timeout=APPLY_SECONDS)
        return int(re.search(r"Resources: (\d+) added", text).group(1))

    def plan(self):
        """The second plan as JSON."""
        out = self.work / "second.tfplan"
        self.terraform("plan", "-input=false", "-no-color", "-detailed-exitcode", f"-state={self.state}", f"-out={out}",
                       f"-var-file={self.variables}", timeout=PLAN_SECONDS, codes=(0, 2))
        return json.loads(self.terraform("show", "-json", out, timeout=PLAN_SECONDS))

    def outputs(self):
        """What the example says about itself."""
        return json.loads(self.terraform("output", "-json", f"-state={self.state}", timeout=PLAN_SECONDS))["millrace"]["value"]

    def destroy(self):
        """Destroys and returns the number of resources removed."""
        text = self.terraform("destroy", "-auto-approve", "-input=false", "-no-color", "-parallelism=20", f"-state={self.state}",
                              f"-var-file={self.variables}", timeout=DESTROY_SECONDS)
        return int(re.search(r"Resources: (\d+) destroyed", text).group(1))

    def client(self, service, credentials=None):
        """A client of the emulator, as the account's owner unless credentials of somebody else are given."""
        keys = credentials or {"AccessKeyId": "emulated", "SecretAccessKey": "emulated", "SessionToken": None}
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, aws_access_key_id=keys["AccessKeyId"],
                            aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"])


def free_port():
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def environ_without_aws():
    """The environment without anything of AWS."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
