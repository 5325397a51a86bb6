"""The runbooks of docs/disaster-recovery.md, played: a machine that dies, a Kafka that goes away, the dead-letter queue moved back.

Two appliances on one queue of moto, a real Kafka. Every message that was sent must be in Kafka at the end, whatever died meanwhile.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import boto3
import kafka
from layers import Failed, Skip

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("MILLRACE", ROOT / "target" / "release" / "millrace"))
KEYS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
VISIBILITY_SECONDS = 6


def play():
    """All runbooks on one pair of servers."""
    if not BINARY.exists():
        raise Skip(f"{BINARY} is not built")
    folder = Path(tempfile.mkdtemp(prefix="millrace-recovery-"))
    port = kafka.free_port()
    server = subprocess.Popen([str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        with kafka.Kafka(folder / "kafka", ["orders"]) as broker:
            sqs = boto3.client("sqs", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
            dead, url = queues(sqs)
            sent = failover(sqs, url, broker, folder)
            sent += kafka_away(sqs, url, broker, folder, sent)
            moved = move_back(sqs, url, dead, broker, folder, sent)
            return f"{sent} messages over a killed appliance and a stopped Kafka, {moved} moved back from the dead-letter queue; none missing"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def queues(sqs):
    """The queue and its dead-letter queue, once the server is up."""
    until = time.monotonic() + 30
    while True:
        try:
            dead = sqs.create_queue(QueueName="orders-dead")["QueueUrl"]
            break
        except Exception as error:
            if time.monotonic() > until:
                raise Failed(f"moto did not start: {error}") from error
            time.sleep(0.3)
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 50})
    return dead, sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": str(VISIBILITY_SECONDS), "RedrivePolicy": redrive})["QueueUrl"]


class Appliance:
    """One appliance of the pair."""

    def __init__(self, url, broker, folder, name):
        self.log = folder / f"{name}.log"
        self.port_file = folder / f"{name}.port"
        self.port_file.unlink(missing_ok=True)
        command = [str(BINARY), "run", "--queue", url, "--brokers", broker.brokers, "--topic", "orders", "--listen", "127.0.0.1:0", "--port-file",
                   str(self.port_file), "--set", "shards.count=1", "--set", "shards.pin=false", "--set", 'pipeline.main.queue.wait_time="1s"',
                   "--set", 'pipeline.main.breaker.ack_stall="2s"']
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, env={**os.environ, **KEYS, "AWS_ENDPOINT_URL": url.rsplit("/", 2)[0]}, stdout=log, stderr=log)
        # Ready: its pipeline runs. Alive it is before, also without a Kafka.
        wait(lambda: self.port_file.exists() and self.probe("ready") == 0, 60, lambda: f"{name} did not start: {self.log.read_text()[-1500:]}")

    def probe(self, question):
        """Exit code of the health check."""
        done = subprocess.run([str(BINARY), "probe", question, "--listen", f"127.0.0.1:{self.port_file.read_text().strip()}"], capture_output=True, check=False)
        return done.returncode

    def metric(self, name):
        """Sum of a metric over its series."""
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.port_file.read_text().strip()}/metrics", timeout=5).read().decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} ")))

    def stop(self):
        """Drains; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def wait(is_so, seconds, text):
    """Waits for something, within bounds."""
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            raise Failed(text())
        time.sleep(0.2)


def send(sqs, url, first, count):
    for at in range(first, first + count, 10):
        entries = [{"Id": str(number), "MessageBody": f'{{"number":{number}}}'} for number in range(at, min(at + 10, first + count))]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)


def arrived(broker, wanted):
    """Numbers in Kafka, each message at least once."""
    bodies = broker.read("orders", wanted, seconds=30)
    until = time.monotonic() + 40
    while len(set(bodies)) < wanted and time.monotonic() < until:
        bodies = broker.read("orders", len(bodies) + 1, seconds=3)
    missing = wanted - len({json.loads(body)["number"] for body in bodies})
    assert missing == 0, f"{missing} of {wanted} messages are missing in Kafka"


def failover(sqs, url, broker, folder):
    """An appliance dies without a word; the other one has its messages after the visibility timeout."""
    first, second = Appliance(url, broker, folder, "first"), Appliance(url, broker, folder, "second")
    try:
        send(sqs, url, 0, 40)
        wait(lambda: first.metric("millrace_messages_received_total") > 0, 30, lambda: "the first appliance received nothing")
        first.process.kill()
        first.process.wait(10)
        send(sqs, url, 40, 40)
        arrived(broker, 80)
        assert second.probe("ready") == 0, "the survivor is not ready"
    finally:
        first.process.kill()
        code = second.stop()
    assert code == 0, f"the survivor's drain ended with {code}"
    return 80


def kafka_away(sqs, url, broker, folder, before):
    """Kafka stops; the appliance stops receiving, says so, and goes on by itself when Kafka is back."""
    appliance = Appliance(url, broker, folder, "third")
    try:
        broker.process.send_signal(signal.SIGSTOP)
        send(sqs, url, before, 30)
        wait(lambda: appliance.metric("millrace_breaker_opened_total") > 0, 40, lambda: "the breaker did not open")
        assert appliance.probe("live") == 0, "an appliance without Kafka is alive all the same"
        broker.process.send_signal(signal.SIGCONT)
        arrived(broker, before + 30)
    finally:
        broker.process.send_signal(signal.SIGCONT)
        code = appliance.stop()
    assert code == 0, f"the drain ended with {code}: {appliance.log.read_text()[-1500:]}"
    return 30


def move_back(sqs, url, dead, broker, folder, before):
    """What lies in the dead-letter queue goes back: received there, sent to the queue, and deleted only then."""
    send(sqs, dead, before, 10)
    moved = 0
    while True:
        messages = sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10, VisibilityTimeout=60).get("Messages", [])
        if not messages:
            break
        for message in messages:
            sqs.send_message(QueueUrl=url, MessageBody=message["Body"])
            sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
            moved += 1
    appliance = Appliance(url, broker, folder, "fourth")
    try:
        arrived(broker, before + moved)
    finally:
        appliance.stop()
    assert moved == 10, f"{moved} of 10 were in the dead-letter queue"
    return moved
