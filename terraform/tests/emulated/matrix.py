"""Who may do what, asked of the emulator under enforcement: the appliance's role on its queue and on everything beside it."""

import urllib.request

from botocore.exceptions import ClientError


def check(stack, outputs):
    """Prints the matrix and returns its size; a wrong cell is an assertion."""
    other = stack.client("sqs").create_queue(QueueName="another")["QueueUrl"]
    queue = stack.client("sqs")
    queue.send_message(QueueUrl=outputs["queue_url"], MessageBody="{}", **fifo(outputs["queue_url"]))
    role = stack.client("sts").assume_role(RoleArn=outputs["task_role_arn"], RoleSessionName="matrix")["Credentials"]
    enforce(stack)
    cells = rows(stack, role, outputs["queue_url"], outputs["dead_letter_url"], other)
    wrong, lines = [], [f"    rights of {outputs['task_role_arn'].rsplit('/', 1)[1]} ({stack.example})"]
    for name, action, is_allowed, act in cells:
        try:
            act()
            got = True
        except ClientError as error:
            # A refusal of services with JSON comes as XML, whose code the client cannot read: the status tells. Any other error means that the
            # right was there and the call itself was refused for what it asked.
            got = error.response["ResponseMetadata"]["HTTPStatusCode"] != 403
        verdict = "allow" if got else "deny"
        mark = "" if got == is_allowed else "   <- expected " + ("allow" if is_allowed else "deny")
        lines.append(f"    {action:32} {name:24} {verdict}{mark}")
        if got != is_allowed:
            wrong.append(f"{action} on {name}")
    # At once: other examples print meanwhile.
    print("\n".join(lines), flush=True)
    assert not wrong, f"wrong rights: {', '.join(wrong)}"
    return len(cells)


def fifo(url):
    return {"MessageGroupId": "g", "MessageDeduplicationId": "d"} if url.endswith(".fifo") else {}


def enforce(stack):
    """From here on the emulator asks IAM."""
    request = urllib.request.Request(f"{stack.url}/moto-api/reset-auth", data=b"0", method="POST", headers={"Content-Type": "text/plain"})
    urllib.request.urlopen(request, timeout=10).close()


def relax(stack):
    """The emulator asks nobody again, so that the stack can be destroyed."""
    request = urllib.request.Request(f"{stack.url}/moto-api/reset-auth", data=b"1000000000", method="POST",
                                     headers={"Content-Type": "text/plain"})
    urllib.request.urlopen(request, timeout=10).close()


def rows(stack, role, url, dead, other):
    """Name of what is touched, action, whether the role may, and the call."""
    sqs, iam, kms = stack.client("sqs", role), stack.client("iam", role), stack.client("kms", role)
    ec2, ecs, sns, logs = (stack.client(service, role) for service in ("ec2", "ecs", "sns", "logs"))
    secrets, s3 = stack.client("secretsmanager", role), stack.client("s3", role)
    return [
        ("the queue", "sqs:GetQueueAttributes", True, lambda: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])),
        ("the queue", "sqs:GetQueueUrl", True, lambda: sqs.get_queue_url(QueueName=url.rsplit("/", 1)[1])),
        ("the queue", "sqs:ReceiveMessage", True, lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0)),
        ("the queue", "sqs:ChangeMessageVisibility", True, lambda: sqs.change_message_visibility(QueueUrl=url, ReceiptHandle="x", VisibilityTimeout=0)),
        ("the queue", "sqs:DeleteMessage", True, lambda: sqs.delete_message(QueueUrl=url, ReceiptHandle="x")),
        ("the queue", "sqs:SendMessage", False, lambda: sqs.send_message(QueueUrl=url, MessageBody="x", **fifo(url))),
        ("the queue", "sqs:PurgeQueue", False, lambda: sqs.purge_queue(QueueUrl=url)),
        ("the queue", "sqs:SetQueueAttributes", False, lambda: sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "1"})),
        ("the queue", "sqs:DeleteQueue", False, lambda: sqs.delete_queue(QueueUrl=url)),
        ("the dead-letter queue", "sqs:ReceiveMessage", False, lambda: sqs.receive_message(QueueUrl=dead)),
        ("the dead-letter queue", "sqs:SendMessage", False, lambda: sqs.send_message(QueueUrl=dead, MessageBody="x", **fifo(dead))),
        ("another queue", "sqs:ReceiveMessage", False, lambda: sqs.receive_message(QueueUrl=other)),
        ("another queue", "sqs:DeleteMessage", False, lambda: sqs.delete_message(QueueUrl=other, ReceiptHandle="x")),
        ("all queues", "sqs:ListQueues", False, sqs.list_queues),
        ("a new queue", "sqs:CreateQueue", False, lambda: sqs.create_queue(QueueName="new")),
        ("roles", "iam:ListRoles", False, iam.list_roles),
        ("its own role", "iam:PutRolePolicy", False, lambda: iam.put_role_policy(RoleName="x", PolicyName="x", PolicyDocument="{}")),
        ("a new key", "kms:CreateKey", False, kms.create_key),
        ("all keys", "kms:ListKeys", False, kms.list_keys),
        ("machines", "ec2:DescribeInstances", False, ec2.describe_instances),
        ("clusters", "ecs:ListClusters", False, ecs.list_clusters),
        ("topics", "sns:ListTopics", False, sns.list_topics),
        ("log groups", "logs:DescribeLogGroups", False, logs.describe_log_groups),
        ("all secrets", "secretsmanager:ListSecrets", False, secrets.list_secrets),
        ("buckets", "s3:ListAllMyBuckets", False, s3.list_buckets),
    ]
