"""Schemathesis against a running appliance, once for each role: every check, valid and invalid input, stateful.

Method: a real `millrace run` over a real Apache Kafka and moto's SQS, an API key of each role, and Schemathesis with the
document that the appliance itself serves. What is taken for right against a check's own opinion is in `ACCEPTED`, with the
reason. Anything else that a check finds, or too few cases, is a failure. Run by `make api-cases`.

Usage: cases.py MILLRACE [--cases N] [--seed N] [--roles viewer,operator,admin] [--moto PROGRAM]
"""

import argparse
import collections
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "deploy" / "tests"))
from kafka import Kafka  # pylint: disable=wrong-import-position

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


# Findings that are right: code of the check, what its text holds, why.
ACCEPTED = [
    ("ST203", r"\[429\]", "who comes without a token is slowed down before being asked for one"),
    ("ST401", r"\[429\]", "the same with a token that is none"),
    ("ST204", r"a request that reads has no body", "a GET with a body is refused at the door, whatever the path"),
    ("ST202", r"floating point `-?\d+\.0`", "181.0 is a whole number to JSON Schema, and none to a reader of Rust"),
    ("ST202", r"invalid_parameter", "parameters that exclude each other, or a span longer than one answer has"),
    ("ST202", r"invalid_cursor", "a cursor is a text that only an answer can give"),
    ("ST202", r"idempotency_reused", "the same key with another request: 422 as its documentation says"),
    ("ST202", r"\[422\]", "what fits the document and cannot be done, such as three replicas on one broker"),
    ("ST202", r"precondition|If-Match", "a change without the tag of what it was made from"),
    ("ST112", r"/(sample|drain)", "these wait as long as they were asked to"),
]

CONFIG = """\
[api]
listen = "127.0.0.1:0"
store = "{folder}/store"
requests_per_minute = 600000
[shards]
count = 1
pin = false
[[pipeline]]
name = "orders"
queue.url = "{queue}"
queue.endpoint = "{endpoint}"
queue.region = "us-east-1"
queue.wait_time = "1s"
kafka.brokers = ["{brokers}"]
route.topic = "orders"
dead_letter.topic = "orders-rejected"
"""


class Queue:
    """A queue of moto's server."""

    def __init__(self, moto, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{port}"
        log = open(os.path.join(folder, "moto.log"), "w", encoding="utf-8")
        self.process = subprocess.Popen([moto, "-p", str(port)], stdout=log, stderr=log)
        for _ in range(300):
            try:
                self.url = re.search(r"<QueueUrl>([^<]+)", self.ask(Action="CreateQueue", QueueName="orders")).group(1)
                return
            except OSError:
                time.sleep(0.1)
        sys.exit("moto did not start")

    def ask(self, **parameters):
        """One request of the query protocol."""
        request = urllib.request.Request(self.endpoint, urllib.parse.urlencode(parameters).encode())
        request.add_header("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/sqs/aws4_request")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read().decode()


class Appliance:
    """An appliance that runs until it is told to end."""

    def __init__(self, millrace, folder, queue, kafka):
        self.port_file = os.path.join(folder, "port")
        self.log = open(os.path.join(folder, "log"), "w+", encoding="utf-8")
        config = os.path.join(folder, "millrace.toml")
        text = CONFIG.format(folder=folder, queue=queue.url, endpoint=queue.endpoint, brokers=kafka.brokers)
        Path(config).write_text(text, encoding="utf-8")
        environment = {**os.environ, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
        self.process = subprocess.Popen(
            [millrace, "run", "--config", config, "--port-file", self.port_file, "--log-format", "json"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log, env=environment)
        self.base = f"http://127.0.0.1:{self.wait(self.port, 'the port')}"
        self.first = self.wait(self.token, "the first token")
        self.admin = None

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
    return made["secret"]


def run(schemathesis, appliance, role, cases, seed, folder):
    """Schemathesis as one role."""
    document = call(appliance.base, "GET", "/api/v1/openapi.json", token=appliance.admin)
    operations = sum(1 for item in document["paths"].values() for verb in item if verb in
                     ("get", "put", "post", "patch", "delete"))
    command = [
        schemathesis, "run", f"{appliance.base}/api/v1/openapi.json", "--url", appliance.base,
        "--header", f"Authorization: Bearer {key_of(appliance, role)}",
        "--checks", "all", "--mode", "all", "--phases", "examples,coverage,fuzzing,stateful",
        "--max-examples", str(max(1, cases // operations)), "--seed", str(seed), "--continue-on-failure",
        "--workers", "2", "--request-timeout", "100", "--no-color",
    ]
    for operation in LEFT_OUT:
        command += ["--exclude-operation-id", operation]
    began = time.monotonic()
    # It keeps what it found in a folder of its own.
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    return done, time.monotonic() - began


def count(text):
    """Cases that were generated, as the summary tells."""
    found = re.search(r"([\d,]+) generated", text)
    return int(found.group(1).replace(",", "")) if found else 0


def findings(text):
    """What the checks found: operation, code, text."""
    blocks = re.split(r"\n_{3,} (.+?) _{3,}\n", text.split("\n=================================== SUMMARY")[0])
    for operation, block in zip(blocks[1::2], blocks[2::2]):
        parts = re.split(r"\n(?=- ST\d+ )", "\n" + block)
        for part in parts:
            found = re.match(r"- (ST\d+) ", part)
            if found:
                yield operation, found.group(1), part


def judged(text):
    """Findings that are wrong, and how many were accepted for which reason."""
    wrong, accepted = [], collections.Counter()
    for operation, code, part in findings(text):
        reason = next((why for known, holds, why in ACCEPTED if known == code and re.search(holds, part)), None)
        if reason:
            accepted[f"{code}: {reason}"] += 1
        else:
            wrong.append(f"{operation}\n{part.strip()[:1500]}")
    return wrong, accepted


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("millrace")
    arguments.add_argument("--cases", type=int, default=3000, help="cases of all roles together, about")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--roles", default="viewer,operator,admin")
    arguments.add_argument("--moto", default="target/venv/bin/moto_server")
    asked = arguments.parse_args()
    schemathesis = os.path.join(os.path.dirname(os.path.abspath(sys.executable)), "schemathesis")
    roles = asked.roles.split(",")
    total, failed = 0, False
    with tempfile.TemporaryDirectory() as folder, Kafka(os.path.join(folder, "kafka"), ["orders", "orders-rejected"]) as kafka:
        queue = Queue(asked.moto, folder)
        appliance = Appliance(asked.millrace, folder, queue, kafka)
        user = {"name": "ada", "role": "admin", "password": PASSWORD}
        call(appliance.base, "POST", "/api/v1/users", user, appliance.first)
        for role in roles:
            # A token lives for a quarter of an hour, and a run of one role may take longer.
            signed_in = call(appliance.base, "POST", "/api/v1/login", {"name": "ada", "password": PASSWORD})
            appliance.admin = signed_in["access_token"]
            for number in range(20):
                queue.ask(Action="SendMessage", QueueUrl=queue.url, MessageBody=json.dumps({"type": "paid", "n": number}))
            done, seconds = run(schemathesis, appliance, role, asked.cases // len(roles), asked.seed, folder)
            cases = count(done.stdout)
            total += cases
            wrong, accepted = judged(done.stdout)
            print(f"{role}: {cases} cases in {seconds:.0f} s, {len(wrong)} wrong answers", flush=True)
            for reason, times in sorted(accepted.items()):
                print(f"  accepted {times} x {reason}")
            for text in wrong:
                print(text)
            if wrong or not cases:
                failed = True
            if not cases:
                print(done.stdout[-3000:], done.stderr[-3000:])
        alive = call(appliance.base, "GET", "/snapshot")
        print(f"afterwards: {alive['law']['unaccounted']} messages unaccounted for, phase {alive['phase']}")
        failed |= alive["law"]["unaccounted"] != 0 or "panicked" in appliance.text()
        code = appliance.end()
        queue.process.kill()
        print(f"{total} cases in all, seed {asked.seed}; left out: {', '.join(sorted(LEFT_OUT))}; the appliance ended with {code}")
        failed |= code != 0
    sys.exit(1 if failed or total < asked.cases // 2 else 0)


if __name__ == "__main__":
    main()
