"""Asks an SQS server what AWS documents, case by case, and prints what it does differently.

    conform.py ENDPOINT        one JSON object on stdout: case -> "" or what differed

Each case names the page of AWS's documentation that judges it. boto3 speaks the JSON protocol; the cases of the
query protocol post forms by hand.
"""

import hashlib
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
import xml.etree.ElementTree as xml

from asking import (
    ATTRIBUTES,
    CASES,
    ENDPOINT,
    GUIDE,
    REFERENCE,
    attribute,
    case,
    md5_of_attributes,
    queue,
    receive,
    receive_all,
    refused,
    same,
    send,
    sqs,
)


# --- queues ---


@case(REFERENCE + "API_CreateQueue.html")
def a_queue_is_created_twice_with_the_same_attributes():
    url = queue(VisibilityTimeout="7")
    name = url.rsplit("/", 1)[1]
    same(sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "7"})["QueueUrl"], url)
    same(sqs.get_queue_url(QueueName=name)["QueueUrl"], url)


@case(REFERENCE + "API_CreateQueue.html")
def a_queue_of_that_name_with_other_attributes_is_refused():
    name = queue(VisibilityTimeout="7").rsplit("/", 1)[1]
    refused(("QueueAlreadyExists", "QueueNameExists"), sqs.create_queue, QueueName=name, Attributes={"VisibilityTimeout": "8"})


@case(REFERENCE + "API_CreateQueue.html")
def a_fifo_queue_needs_the_suffix():
    name = "c" + uuid.uuid4().hex[:20]
    refused("InvalidParameterValue", sqs.create_queue, QueueName=name, Attributes={"FifoQueue": "true"})


@case(REFERENCE + "API_CreateQueue.html")
def a_name_with_a_space_is_refused():
    refused("InvalidParameterValue", sqs.create_queue, QueueName="a b")


@case(REFERENCE + "API_SetQueueAttributes.html")
def a_visibility_timeout_beyond_12_hours_is_refused():
    refused("InvalidAttributeValue", sqs.set_queue_attributes, QueueUrl=queue(), Attributes={"VisibilityTimeout": "43201"})


@case(REFERENCE + "API_SetQueueAttributes.html")
def an_unknown_attribute_is_refused():
    refused("InvalidAttributeName", sqs.set_queue_attributes, QueueUrl=queue(), Attributes={"Colour": "red"})


@case(REFERENCE + "API_GetQueueAttributes.html")
def defaults_are_those_of_aws():
    url = queue()
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    for name, wanted in {
        "VisibilityTimeout": "30",
        "DelaySeconds": "0",
        "ReceiveMessageWaitTimeSeconds": "0",
        "MessageRetentionPeriod": "345600",
        "MaximumMessageSize": "1048576",
        "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesNotVisible": "0",
        "ApproximateNumberOfMessagesDelayed": "0",
    }.items():
        same(found.get(name), wanted, name)
    assert found["QueueArn"].startswith("arn:aws:sqs:"), found["QueueArn"]


@case(REFERENCE + "API_GetQueueUrl.html")
def a_missing_queue_has_its_code():
    refused(("NonExistentQueue", "QueueDoesNotExist"), sqs.get_queue_url, QueueName="none-" + uuid.uuid4().hex)


@case(REFERENCE + "API_ReceiveMessage.html")
def receiving_from_a_missing_queue_has_its_code():
    url = queue().rsplit("/", 1)[0] + "/none-" + uuid.uuid4().hex
    refused(("NonExistentQueue", "QueueDoesNotExist"), receive, url)


@case(REFERENCE + "API_ListQueues.html")
def queues_are_listed_by_prefix():
    url = queue()
    same(sqs.list_queues(QueueNamePrefix=url.rsplit("/", 1)[1]).get("QueueUrls"), [url])


@case(REFERENCE + "API_DeleteQueue.html")
def a_deleted_queue_is_gone():
    url = queue()
    sqs.delete_queue(QueueUrl=url)
    refused(("NonExistentQueue", "QueueDoesNotExist"), send, url)


@case(REFERENCE + "API_PurgeQueue.html")
def a_purged_queue_is_empty():
    url = queue()
    send(url)
    sqs.purge_queue(QueueUrl=url)
    same(receive(url), [])


@case(REFERENCE + "API_TagQueue.html")
def tags_are_kept():
    url = queue()
    sqs.tag_queue(QueueUrl=url, Tags={"owner": "a", "stage": "b"})
    sqs.untag_queue(QueueUrl=url, TagKeys=["stage"])
    same(sqs.list_queue_tags(QueueUrl=url).get("Tags"), {"owner": "a"})


# --- sending ---


@case(REFERENCE + "API_SendMessage.html")
def a_message_comes_back_whole_with_md5s():
    url = queue()
    body = "tab\t nl\n cr\r quote\" back\\ <&> grün 🎉"
    sent = send(url, body, MessageAttributes=ATTRIBUTES)
    (got,) = receive_all(url, 1)
    same(got["Body"], body, "body")
    same(got["MessageId"], sent["MessageId"], "MessageId")
    same(sent["MD5OfMessageBody"], hashlib.md5(body.encode()).hexdigest(), "MD5OfMessageBody")
    same(got["MD5OfBody"], sent["MD5OfMessageBody"], "MD5OfBody")
    same(got["MessageAttributes"], ATTRIBUTES, "attributes")
    same(sent["MD5OfMessageAttributes"], md5_of_attributes(ATTRIBUTES), "MD5OfMessageAttributes")
    same(got["MD5OfMessageAttributes"], sent["MD5OfMessageAttributes"], "MD5OfMessageAttributes")


@case(REFERENCE + "API_ReceiveMessage.html")
def system_attributes_are_there():
    url = queue()
    began = int(time.time() * 1000) - 2000
    send(url)
    (got,) = receive_all(url, 1)
    found = got["Attributes"]
    same(found["ApproximateReceiveCount"], "1", "ApproximateReceiveCount")
    for name in ("SentTimestamp", "ApproximateFirstReceiveTimestamp"):
        assert began <= int(found[name]) <= began + 60_000, f"{name} {found[name]}"
    assert found["SenderId"], "SenderId"


@case(REFERENCE + "API_ReceiveMessage.html")
def attributes_come_only_when_asked_for():
    url = queue()
    send(url, MessageAttributes=ATTRIBUTES)
    (got,) = receive_all(url, 1, MessageSystemAttributeNames=[], MessageAttributeNames=["te.*", "number"])
    assert not got.get("Attributes"), got.get("Attributes")
    same(sorted(got.get("MessageAttributes", {})), ["number", "text"], "names by prefix")


@case(REFERENCE + "API_SendMessage.html")
def the_trace_header_is_a_system_attribute():
    url = queue()
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793"
    header = {"AWSTraceHeader": {"DataType": "String", "StringValue": trace}}
    sent = send(url, MessageSystemAttributes=header)
    same(sent.get("MD5OfMessageSystemAttributes"), md5_of_attributes(header), "MD5OfMessageSystemAttributes")
    (got,) = receive_all(url, 1)
    same(got["Attributes"].get("AWSTraceHeader"), trace)


@case(REFERENCE + "API_SendMessage.html")
def a_message_of_1_mib_is_taken_and_a_larger_one_refused():
    url = queue()
    send(url, "a" * (1 << 20))
    same(len(receive_all(url, 1)[0]["Body"]), 1 << 20, "bytes")
    refused("InvalidParameterValue", send, url, "a" * ((1 << 20) + 1))


@case(REFERENCE + "API_SendMessage.html")
def an_empty_body_is_refused():
    refused(("MissingParameter", "InvalidParameterValue"), send, queue(), "")


@case(REFERENCE + "API_SendMessage.html")
def a_control_character_is_refused():
    refused("InvalidMessageContents", send, queue(), "a\x01b")


@case(GUIDE + "sqs-message-metadata.html")
def eleven_attributes_are_refused():
    many = {f"a{number}": {"DataType": "String", "StringValue": "x"} for number in range(11)}
    refused("InvalidParameterValue", send, queue(), MessageAttributes=many)


@case(GUIDE + "sqs-message-metadata.html")
def an_attribute_named_like_awss_own_is_refused():
    refused("InvalidParameterValue", send, queue(), MessageAttributes={"AWS.x": {"DataType": "String", "StringValue": "x"}})


@case(GUIDE + "sqs-message-metadata.html")
def a_number_that_is_none_is_refused():
    refused("InvalidParameterValue", send, queue(), MessageAttributes={"n": {"DataType": "Number", "StringValue": "x"}})


@case(REFERENCE + "API_SendMessage.html")
def a_delayed_message_comes_later():
    url = queue()
    send(url, DelaySeconds=2)
    same(receive(url), [], "at once")
    same(attribute(url, "ApproximateNumberOfMessagesDelayed"), "1", "delayed")
    same(len(receive(url, WaitTimeSeconds=5)), 1, "later")


@case(REFERENCE + "API_SendMessageBatch.html")
def a_batch_is_answered_entry_by_entry():
    url = queue()
    entries = [{"Id": "good", "MessageBody": "x"}, {"Id": "bad", "MessageBody": "a\x01b"}]
    answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    same([entry["Id"] for entry in answer.get("Successful", [])], ["good"], "successful")
    (failed,) = answer.get("Failed", [])
    same((failed["Id"], failed["SenderFault"]), ("bad", True), "failed")
    assert failed["Code"].endswith("InvalidMessageContents"), failed["Code"]


@case(REFERENCE + "API_SendMessageBatch.html")
def batches_have_rules():
    url = queue()
    entry = lambda name: {"Id": name, "MessageBody": "x"}
    refused("EmptyBatchRequest", sqs.send_message_batch, QueueUrl=url, Entries=[])
    refused("BatchEntryIdsNotDistinct", sqs.send_message_batch, QueueUrl=url, Entries=[entry("a"), entry("a")])
    refused("TooManyEntriesInBatchRequest", sqs.send_message_batch, QueueUrl=url, Entries=[entry(str(n)) for n in range(11)])
    refused("InvalidBatchEntryId", sqs.send_message_batch, QueueUrl=url, Entries=[entry("a b")])


@case(REFERENCE + "API_SendMessageBatch.html")
def a_batch_beyond_1_mib_is_refused_whole():
    url = queue()
    entries = [{"Id": str(number), "MessageBody": "a" * 600_000} for number in range(2)]
    refused("BatchRequestTooLong", sqs.send_message_batch, QueueUrl=url, Entries=entries)


# --- receiving ---


@case(REFERENCE + "API_ReceiveMessage.html")
def at_most_ten_messages_come():
    url = queue()
    for first in (0, 10):
        sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": str(first + n)} for n in range(10)])
    assert 1 <= len(receive(url)) <= 10
    for count in (0, 11):
        refused(("InvalidParameterValue", "ReadCountOutOfRange"), receive, url, count)


@case(REFERENCE + "API_ReceiveMessage.html")
def a_long_poll_waits_for_its_message():
    url = queue()
    send(url, DelaySeconds=1)
    began = time.time()
    same(len(receive(url, WaitTimeSeconds=10)), 1, "messages")
    assert 0.5 < time.time() - began < 5, f"after {time.time() - began:.1f} s"


@case(REFERENCE + "API_ReceiveMessage.html")
def an_empty_long_poll_takes_its_time():
    url, began = queue(), time.time()
    same(receive(url, WaitTimeSeconds=2), [])
    assert time.time() - began >= 1.9, f"after {time.time() - began:.1f} s"
    refused("InvalidParameterValue", receive, url, WaitTimeSeconds=21)


@case(GUIDE + "sqs-visibility-timeout.html")
def a_message_comes_again_after_its_visibility_timeout():
    url = queue()
    send(url)
    (first,) = receive_all(url, 1, VisibilityTimeout=1)
    same(receive(url), [], "while invisible")
    same(attribute(url, "ApproximateNumberOfMessagesNotVisible"), "1", "in flight")
    (second,) = receive(url, WaitTimeSeconds=5)
    same(second["Attributes"]["ApproximateReceiveCount"], "2", "receive count")
    same(second["MessageId"], first["MessageId"], "MessageId")
    assert second["ReceiptHandle"] != first["ReceiptHandle"], "the handle is the same"


@case(REFERENCE + "API_ChangeMessageVisibility.html")
def visibility_can_be_ended_and_extended():
    url = queue()
    send(url)
    (got,) = receive_all(url, 1)
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=got["ReceiptHandle"], VisibilityTimeout=0)
    (again,) = receive_all(url, 1, VisibilityTimeout=1)
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"], VisibilityTimeout=30)
    time.sleep(1.5)
    same(receive(url), [], "after the first timeout")
    refused("InvalidParameterValue", sqs.change_message_visibility, QueueUrl=url, ReceiptHandle=again["ReceiptHandle"], VisibilityTimeout=43201)


@case(REFERENCE + "API_ChangeMessageVisibility.html")
def the_visibility_of_a_visible_message_cannot_be_changed():
    url = queue()
    send(url)
    (got,) = receive_all(url, 1)
    change = lambda: sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=got["ReceiptHandle"], VisibilityTimeout=0)
    change()
    refused("MessageNotInflight", change)


@case(REFERENCE + "API_ChangeMessageVisibilityBatch.html")
def visibility_changes_in_batches_entry_by_entry():
    url = queue()
    send(url)
    (got,) = receive_all(url, 1)
    entries = [
        {"Id": "a", "ReceiptHandle": got["ReceiptHandle"], "VisibilityTimeout": 0},
        {"Id": "b", "ReceiptHandle": "nonsense", "VisibilityTimeout": 0},
    ]
    answer = sqs.change_message_visibility_batch(QueueUrl=url, Entries=entries)
    same([entry["Id"] for entry in answer.get("Successful", [])], ["a"], "successful")
    same([entry["Id"] for entry in answer.get("Failed", [])], ["b"], "failed")
    same(len(receive_all(url, 1)), 1, "visible again")


# --- deleting ---


@case(REFERENCE + "API_DeleteMessage.html")
def a_deleted_message_is_gone_and_deleting_twice_is_fine():
    url = queue()
    send(url)
    (got,) = receive_all(url, 1, VisibilityTimeout=1)
    for _ in range(2):
        sqs.delete_message(QueueUrl=url, ReceiptHandle=got["ReceiptHandle"])
    same(receive(url, WaitTimeSeconds=2), [])


@case(REFERENCE + "API_DeleteMessage.html")
def a_handle_that_is_none_is_refused():
    refused("ReceiptHandleIsInvalid", sqs.delete_message, QueueUrl=queue(), ReceiptHandle="nonsense")


@case(REFERENCE + "API_DeleteMessageBatch.html")
def deletes_are_answered_entry_by_entry():
    url = queue()
    send(url)
    (got,) = receive_all(url, 1)
    entries = [{"Id": "a", "ReceiptHandle": got["ReceiptHandle"]}, {"Id": "b", "ReceiptHandle": "nonsense"}]
    answer = sqs.delete_message_batch(QueueUrl=url, Entries=entries)
    same([entry["Id"] for entry in answer.get("Successful", [])], ["a"], "successful")
    (failed,) = answer.get("Failed", [])
    same((failed["Id"], failed["Code"], failed["SenderFault"]), ("b", "ReceiptHandleIsInvalid", True), "failed")
    refused("EmptyBatchRequest", sqs.delete_message_batch, QueueUrl=url, Entries=[])


# --- FIFO ---


def fifo_send(url, body, group="g", **more):
    more.setdefault("MessageDeduplicationId", uuid.uuid4().hex)
    return send(url, body, MessageGroupId=group, **more)


@case(GUIDE + "FIFO-queues-understanding-logic.html")
def a_group_keeps_its_order_and_is_held_while_in_flight():
    url = queue(fifo=True)
    sent = [fifo_send(url, str(number)) for number in range(3)]
    (first,) = receive(url, 1)
    same(first["Body"], "0", "first")
    same(first["Attributes"]["MessageGroupId"], "g", "MessageGroupId")
    same(first["Attributes"]["SequenceNumber"], sent[0]["SequenceNumber"], "SequenceNumber")
    same(receive(url), [], "while the first is in flight")
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    same([message["Body"] for message in receive(url)], ["1", "2"], "the rest")


@case(REFERENCE + "API_SendMessage.html")
def sequence_numbers_grow():
    url = queue(fifo=True)
    # So many that numbers drawn at random are never in order.
    numbers = [int(fifo_send(url, str(number))["SequenceNumber"]) for number in range(12)]
    assert numbers == sorted(set(numbers)), "they do not"


@case(GUIDE + "FIFO-queues-understanding-logic.html")
def groups_do_not_hold_each_other():
    url = queue(fifo=True)
    fifo_send(url, "a", "one")
    same(len(receive(url)), 1, "one")
    fifo_send(url, "b", "two")
    same([message["Body"] for message in receive(url)], ["b"], "two")


@case(GUIDE + "using-messagededuplicationid-property.html")
def a_deduplication_id_is_taken_once():
    url = queue(fifo=True)
    first = fifo_send(url, "a", MessageDeduplicationId="d")
    second = fifo_send(url, "b", MessageDeduplicationId="d")
    same(second["MessageId"], first["MessageId"], "MessageId of the duplicate")
    same([message["Body"] for message in receive(url)], ["a"], "messages")


@case(GUIDE + "using-messagededuplicationid-property.html")
def without_an_id_the_body_deduplicates_when_the_queue_says_so():
    url = queue(fifo=True, ContentBasedDeduplication="true")
    for _ in range(2):
        send(url, "a", MessageGroupId="g")
    same(len(receive(url)), 1, "messages")
    refused("InvalidParameterValue", send, queue(fifo=True), "a", MessageGroupId="g")


@case(REFERENCE + "API_SendMessage.html")
def a_fifo_message_needs_its_group():
    refused("MissingParameter", send, queue(fifo=True), "a", MessageDeduplicationId="d")


@case(REFERENCE + "API_ReceiveMessage.html")
def a_receive_attempt_can_be_repeated():
    url = queue(fifo=True)
    fifo_send(url, "a")
    first = receive(url, ReceiveRequestAttemptId="try-1")
    second = receive(url, ReceiveRequestAttemptId="try-1")
    same([m["MessageId"] for m in second], [m["MessageId"] for m in first], "the same messages")
    same(len(second), 1, "messages")


@case(REFERENCE + "API_DeleteMessage.html")
def a_fifo_delete_with_an_expired_handle_is_refused():
    url = queue(fifo=True)
    fifo_send(url, "a")
    (got,) = receive(url, VisibilityTimeout=1)
    time.sleep(1.5)
    refused("InvalidParameterValue", sqs.delete_message, QueueUrl=url, ReceiptHandle=got["ReceiptHandle"])


# --- redrive ---


@case(GUIDE + "sqs-dead-letter-queues.html")
def what_comes_too_often_goes_to_the_dead_letter_queue():
    dead = queue()
    policy = json.dumps({"deadLetterTargetArn": attribute(dead, "QueueArn"), "maxReceiveCount": "2"})
    url = queue(RedrivePolicy=policy)
    sent = send(url, "poison")
    for _ in range(2):
        same(len(receive_all(url, 1, VisibilityTimeout=0)), 1, "receives")
    same(receive(url, WaitTimeSeconds=1), [], "third receive")
    (moved,) = receive_all(dead, 1)
    same(moved["MessageId"], sent["MessageId"], "MessageId")
    same(moved["Attributes"].get("DeadLetterQueueSourceArn"), attribute(url, "QueueArn"), "DeadLetterQueueSourceArn")


# --- the query protocol ---


def post(path, **form):
    request = urllib.request.Request(
        ENDPOINT + path,
        data=urllib.parse.urlencode(form).encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, xml.fromstring(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, xml.fromstring(error.read())


def texts(tree, name):
    return [element.text for element in tree.iter() if element.tag.rsplit("}", 1)[-1] == name]


@case(GUIDE + "sqs-making-api-requests-xml.html")
def the_query_protocol_sends_receives_and_deletes():
    url = queue()
    path = urllib.parse.urlparse(url).path
    status, sent = post(path, Action="SendMessage", Version="2012-11-05", MessageBody="a <b> & \"c\"\n")
    same(status, 200, "status")
    form = {"Action": "ReceiveMessage", "Version": "2012-11-05", "MaxNumberOfMessages": "10", "AttributeName.1": "All"}
    _, got = post(path, **form)
    same(texts(got, "Body"), ["a <b> & \"c\"\n"], "body")
    same(texts(got, "MessageId"), texts(sent, "MessageId"), "MessageId")
    handle = texts(got, "ReceiptHandle")[0]
    status, _ = post(path, Action="DeleteMessage", Version="2012-11-05", ReceiptHandle=handle)
    same(status, 200, "status of the delete")


@case(GUIDE + "sqs-making-api-requests-xml.html")
def the_query_protocols_errors_are_xml():
    status, answer = post("/000000000000/none", Action="ReceiveMessage", Version="2012-11-05")
    same(status, 400, "status")
    same(texts(answer, "Code"), ["AWS.SimpleQueueService.NonExistentQueue"], "code")
    same(texts(answer, "Type"), ["Sender"], "type")


def main():
    results = {}
    for name, page, function in CASES:
        try:
            function()
            found = ""
        except AssertionError as error:
            found = str(error)
        except Exception as error:  # whatever a server makes of a call is a finding
            found = f"{type(error).__name__}: {error}"
        results[name] = {"page": page, "differs": " ".join(found.split())[:160]}
    json.dump(results, sys.stdout)


main()
