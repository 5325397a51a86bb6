"""What the cases of `conform.py` are made of: the client, the list of cases, small steps and judgements."""

import hashlib
import struct
import sys
import time
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = sys.argv[1]
REFERENCE = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/"
GUIDE = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/"
CASES = []

sqs = boto3.client(
    "sqs",
    endpoint_url=ENDPOINT,
    region_name="us-east-1",
    aws_access_key_id="AKIDEXAMPLE",
    aws_secret_access_key="secret",
    # Retries would hide errors.
    config=Config(retries={"total_max_attempts": 1}, read_timeout=30),
)


def case(page):
    """Registers a case; `page` is the judge."""

    def register(function):
        CASES.append((function.__name__, page, function))
        return function

    return register


def queue(fifo=False, **attributes):
    name = "c" + uuid.uuid4().hex[:20] + (".fifo" if fifo else "")
    if fifo:
        attributes["FifoQueue"] = "true"
    return sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]


def send(url, body="hello", **more):
    return sqs.send_message(QueueUrl=url, MessageBody=body, **more)


def receive(url, count=10, **more):
    more.setdefault("MessageSystemAttributeNames", ["All"])
    more.setdefault("MessageAttributeNames", ["All"])
    return sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=count, **more).get("Messages", [])


def receive_all(url, wanted, seconds=5, **more):
    """Receives until `wanted` messages came: a short poll may miss some."""
    got, end = [], time.time() + seconds
    while len(got) < wanted and time.time() < end:
        got += receive(url, **more)
    return got


def attribute(url, name):
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name]).get("Attributes", {}).get(name)


def same(found, wanted, what="answer"):
    assert found == wanted, f"{what}: {found!r} instead of {wanted!r}"


def refused(code, call, *arguments, **named):
    """The call fails with this code, one of several if there are several."""
    try:
        call(*arguments, **named)
    except ClientError as error:
        found = error.response["Error"]["Code"]
        codes = code if isinstance(code, tuple) else (code,)
        # boto3 shows the query protocol's code where the server sends one, with or without its namespace.
        assert any(found.endswith(wanted) for wanted in codes), f"code {found!r} instead of {codes[0]!r}"
        same(error.response["ResponseMetadata"]["HTTPStatusCode"], 400, "status")
        return
    raise AssertionError(f"accepted, where AWS answers {code!r}")


def md5_of_attributes(attributes):
    """Source: "Calculating the MD5 message digest for message attributes" in the developer guide."""
    digest = hashlib.md5()

    def add(data):
        digest.update(struct.pack(">I", len(data)) + data)

    for name in sorted(attributes):
        value = attributes[name]
        add(name.encode())
        add(value["DataType"].encode())
        if "BinaryValue" in value:
            digest.update(b"\x02")
            add(value["BinaryValue"])
        else:
            digest.update(b"\x01")
            add(value["StringValue"].encode())
    return digest.hexdigest()


ATTRIBUTES = {
    "text": {"DataType": "String", "StringValue": "grün \"quoted\" \\ \t\n"},
    "label": {"DataType": "String.label", "StringValue": "x"},
    "number": {"DataType": "Number", "StringValue": "12.50"},
    "typed": {"DataType": "Number.int", "StringValue": "7"},
    "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff\n\"\\"},
    "image": {"DataType": "Binary.png", "BinaryValue": b"\x89PNG"},
}
