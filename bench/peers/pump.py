"""The job as most teams write it: boto3, confluent-kafka, threads. Deletes follow the acks.

Each thread receives ten messages, produces them, waits for their delivery reports and deletes what was delivered.
One producer serves all threads; one thread polls it.
"""

import argparse
import threading

import boto3
from botocore.config import Config
from confluent_kafka import Producer

# 8 to 32 threads are alike on one core.
THREADS = 16


def parse():
    parser = argparse.ArgumentParser()
    for name in ("endpoint", "queue-url", "brokers", "topic"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--ca", help="file with the authority of the server's certificate")
    parser.add_argument("--compression", default="lz4")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--body-bytes", type=int, default=1024)
    parser.add_argument("--attributes", action="store_true")
    parser.add_argument("--fifo", action="store_true")
    return parser.parse_args()


class Receipts:
    """Acks of the messages of one receive."""

    def __init__(self, count):
        self.left = count
        self.handles = []
        self.done = threading.Event()
        self.lock = threading.Lock()

    def report(self, handle):
        def on_delivery(error, _message):
            with self.lock:
                if error is None:
                    self.handles.append(handle)
                self.left -= 1
                if self.left == 0:
                    self.done.set()

        return on_delivery


def header(value):
    return value["BinaryValue"] if "BinaryValue" in value else value["StringValue"].encode()


def pump(arguments, producer):
    sqs = boto3.client(
        "sqs",
        endpoint_url=arguments.endpoint,
        region_name="us-east-1",
        verify=arguments.ca,
        config=Config(read_timeout=30, max_pool_connections=1),
    )
    wanted = {"QueueUrl": arguments.queue_url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 20}
    if arguments.attributes:
        wanted["MessageAttributeNames"] = ["All"]
    if arguments.fifo:
        wanted["MessageSystemAttributeNames"] = ["MessageGroupId"]
    while True:
        messages = sqs.receive_message(**wanted).get("Messages", [])
        if not messages:
            continue
        receipts = Receipts(len(messages))
        for message in messages:
            attributes = message.get("MessageAttributes", {})
            producer.produce(
                arguments.topic,
                value=message["Body"],
                key=message.get("Attributes", {}).get("MessageGroupId"),
                headers=[(name, header(value)) for name, value in attributes.items()] or None,
                on_delivery=receipts.report(message["ReceiptHandle"]),
            )
        receipts.done.wait()
        if receipts.handles:
            entries = [{"Id": str(at), "ReceiptHandle": handle} for at, handle in enumerate(receipts.handles)]
            answer = sqs.delete_message_batch(QueueUrl=arguments.queue_url, Entries=entries)
            if answer.get("Failed"):
                print("deletes were refused:", answer["Failed"], flush=True)


def main():
    arguments = parse()
    producer = Producer(
        {
            "bootstrap.servers": arguments.brokers,
            "compression.type": arguments.compression,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 5,
            "partitioner": "murmur2_random",
            "message.max.bytes": 2000000,
        }
    )
    for _ in range(THREADS * arguments.shards):
        threading.Thread(target=pump, args=(arguments, producer), daemon=True).start()
    while True:
        producer.poll(0.1)


if __name__ == "__main__":
    main()
