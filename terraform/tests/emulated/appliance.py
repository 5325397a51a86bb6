"""The appliance itself on the emulated queue, with Terraform's outputs as its configuration: what was built fits what runs in it."""

import os
import signal
import subprocess
import time
from pathlib import Path

import kafka
from layers import Failed, Skip, call
from stack import ROOT, environ_without_aws

# moto answers some ten calls a second: more pollers would only stand in each other's way.
MESSAGES = 20
BINARY = Path(os.environ.get("MILLRACE", ROOT / "target" / "release" / "millrace"))


def check(stack, outputs):
    """Runs the file and the arguments that Terraform wrote; each must move all messages."""
    if not BINARY.exists():
        raise Skip(f"{BINARY} is not built")
    role = stack.client("sts").assume_role(RoleArn=outputs["task_role_arn"], RoleSessionName="appliance")["Credentials"]
    env = environ_without_aws() | {
        "AWS_ACCESS_KEY_ID": role["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": role["SecretAccessKey"], "AWS_SESSION_TOKEN": role["SessionToken"],
        "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": stack.url, "AWS_EC2_METADATA_DISABLED": "true", "KAFKA_PASSWORD": "unused here",
    }
    topic = topic_of(outputs)
    file = stack.work / "millrace.toml"
    file.write_text(outputs["millrace_toml"], encoding="utf-8")
    with kafka.Kafka(stack.work / "kafka", [topic, f"{topic}-rejected"]) as broker:
        # The one thing that this machine cannot be: the brokers. Everything else stays as Terraform wrote it.
        here = ["--set", f'pipeline.main.kafka.brokers=["{broker.brokers}"]', "--set", 'pipeline.main.kafka.security={protocol = "plaintext"}',
                "--set", "shards.count=1", "--set", "shards.pin=false", "--set", 'pipeline.main.queue.wait_time="1s"', "--set", "pipeline.main.queue.pollers_max=2"]
        call(BINARY, "validate", "--no-env", file, env={**env}, timeout=30)
        by_file = ["run", "--config", str(file), *here]
        by_arguments = [*outputs["command"], *here]
        moved = 0
        for way in (by_file, by_arguments):
            move(stack, outputs["queue_url"], way, env, moved)
            moved += MESSAGES
            bodies = broker.read(topic, moved)
            assert len(set(bodies)) == moved, f"{len(set(bodies))} of {moved} messages arrived ({way[:2]})"
        call(BINARY, "check", "--connect", "--config", file, *here, env=env, timeout=60)
    left = stack.client("sqs").get_queue_attributes(QueueUrl=outputs["queue_url"], AttributeNames=["All"])["Attributes"]
    assert left["ApproximateNumberOfMessages"] == left["ApproximateNumberOfMessagesNotVisible"] == "0", left
    return moved


def topic_of(outputs):
    """The topic that both ways name."""
    command = outputs["command"]
    topic = command[command.index("--topic") + 1]
    assert f'route.topic = "{topic}"' in outputs["millrace_toml"], "file and arguments name different topics"
    return topic


def move(stack, url, way, env, first):
    """Sends messages, runs the appliance until the queue is empty, and drains it."""
    sqs = stack.client("sqs")
    for number in range(first, first + MESSAGES):
        extra = {"MessageGroupId": f"g{number % 5}", "MessageDeduplicationId": str(number)} if url.endswith(".fifo") else {}
        sqs.send_message(QueueUrl=url, MessageBody=f'{{"number":{number}}}', **extra)
    port_file = stack.work / "port"
    port_file.unlink(missing_ok=True)
    log = stack.work / f"millrace-{first}.log"
    with open(log, "w", encoding="utf-8") as out:
        process = subprocess.Popen([str(BINARY), *way, "--listen", "127.0.0.1:0", "--port-file", str(port_file)], env=env, stdout=out, stderr=out)
    try:
        until = time.monotonic() + 60
        while True:
            left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            if left["ApproximateNumberOfMessages"] == left["ApproximateNumberOfMessagesNotVisible"] == "0":
                break
            if process.poll() is not None or time.monotonic() > until:
                raise Failed(f"the queue was not emptied: {left}; {log.read_text()[-2500:]}")
            time.sleep(0.3)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    code = process.wait(60)
    assert code == 0, f"the drain ended with {code}: {log.read_text()[-1500:]}"
