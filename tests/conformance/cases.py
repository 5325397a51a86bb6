"""Schemathesis against a running appliance, once for each role: every check, positive and negative, stateful.

Method: a real `millrace demo` (queue, Kafka, load, both planes in one process), a user of each role made through the
API, an API key for each, and Schemathesis with the document that the appliance itself serves. The count of cases is
read from its report; a server error, an answer that the document does not have, or too few cases is a failure.

Usage: cases.py MILLRACE [--cases N] [--seed N] [--roles viewer,operator,admin]
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

PASSWORD = "correct horse battery"
# What would end the run itself; each is tested by hand elsewhere.
LEFT_OUT = {
    "live": "a stream without end",
    "keys_revoke": "would revoke the key of the run",
    "sessions_revoke": "would end the session of the run",
    "users_change": "would take the run's own right",
    "users_remove": "would take the run's own user",
    "backups_restore": "would bring an older set of keys back",
}


def call(base, method, path, body=None, token=None):
    request = urllib.request.Request(base + path, method=method)
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    payload = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(request, payload, timeout=30) as answer:
        return json.load(answer)


class Appliance:
    """A demo that runs until it is told to end."""

    def __init__(self, millrace, folder):
        self.port_file = os.path.join(folder, "port")
        self.log = open(os.path.join(folder, "log"), "w+")
        arguments = ["demo", "--rate", "500", "--shards", "1", "--listen", "127.0.0.1:0", "--log-format", "json"]
        self.process = subprocess.Popen(
            [millrace, *arguments, "--port-file", self.port_file, "--set", "api.requests_per_minute=600000"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log)
        self.base = f"http://127.0.0.1:{self.wait(self.port, 'the port')}"
        self.first = self.wait(self.token, "the first token")

    def wait(self, ask, what):
        for _ in range(300):
            found = ask()
            if found:
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        sys.exit(f"{what} did not come:\n{self.text()[-2000:]}")

    def port(self):
        try:
            with open(self.port_file) as file:
                return int(file.read() or 0)
        except FileNotFoundError:
            return None

    def text(self):
        with open(self.log.name) as file:
            return file.read()

    def token(self):
        found = re.search(r'"first_token":"([^"]+)"', self.text())
        return found and found.group(1)

    def end(self):
        self.process.terminate()
        return self.process.wait(60)


def key_of(appliance, role):
    """An API key of this role, made by an admin."""
    name = f"fuzz-{role}"
    made = call(appliance.base, "POST", "/api/v1/keys", {"name": name, "role": role}, appliance.admin)
    return made.get("key") or made.get("token")


def run(schemathesis, appliance, role, cases, seed, folder):
    report = os.path.join(folder, f"{role}.ndjson")
    document = call(appliance.base, "GET", "/api/v1/openapi.json", token=appliance.admin)
    operations = sum(1 for item in document["paths"].values() for verb in item if verb in
                     ("get", "put", "post", "patch", "delete"))
    command = [
        schemathesis, "run", f"{appliance.base}/api/v1/openapi.json", "--url", appliance.base,
        "--header", f"Authorization: Bearer {key_of(appliance, role)}",
        "--checks", "all", "--mode", "all", "--phases", "examples,coverage,fuzzing,stateful",
        "--max-examples", str(max(1, cases // operations)), "--seed", str(seed), "--continue-on-failure",
        "--workers", "2", "--request-timeout", "30", "--no-color",
        "--report", "ndjson", "--report-ndjson-path", report,
    ]
    for operation in LEFT_OUT:
        command += ["--exclude-operation-id", operation]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done, report, time.monotonic() - began


def count(text):
    """Cases that were generated, as the summary tells."""
    found = re.search(r"([\d,]+) generated", text)
    return int(found.group(1).replace(",", "")) if found else 0


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("millrace")
    arguments.add_argument("--cases", type=int, default=3000, help="cases of all roles together, about")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--roles", default="viewer,operator,admin")
    asked = arguments.parse_args()
    schemathesis = os.path.join(os.path.dirname(sys.executable), "schemathesis")
    roles = asked.roles.split(",")
    total, failed = 0, False
    with tempfile.TemporaryDirectory() as folder:
        appliance = Appliance(asked.millrace, folder)
        user = {"name": "ada", "role": "admin", "password": PASSWORD}
        call(appliance.base, "POST", "/api/v1/users", user, appliance.first)
        signed_in = call(appliance.base, "POST", "/api/v1/login", {"name": "ada", "password": PASSWORD})
        appliance.admin = signed_in["access_token"]
        for role in roles:
            done, _, seconds = run(schemathesis, appliance, role, asked.cases // len(roles), asked.seed, folder)
            cases = count(done.stdout)
            total += cases
            print(f"{role}: {cases} cases in {seconds:.0f} s, exit {done.returncode}")
            if done.returncode != 0:
                failed = True
                print(done.stdout[-12000:], done.stderr[-2000:])
        alive = call(appliance.base, "GET", "/snapshot")
        print(f"afterwards: {alive['law']['unaccounted']} messages unaccounted for, phase {alive['phase']}")
        failed |= alive["law"]["unaccounted"] != 0
        code = appliance.end()
        print(f"{total} cases in all, seed {asked.seed}; left out: {', '.join(sorted(LEFT_OUT))}; the appliance ended with {code}")
    sys.exit(1 if failed or total < asked.cases // 2 else 0)


if __name__ == "__main__":
    main()
