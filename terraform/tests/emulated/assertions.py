"""What exists in the emulator after an apply, asked by boto3: an independent reader of what Terraform says it made."""

import json


def check(stack, outputs):
    """All assertions that apply to an example; returns how many things were looked at."""
    seen = 0
    for look in (queues, endpoints, networks, alarms, roles, transit, ecs, machines, eks, dns, msk):
        seen += look(stack, outputs)
    return seen


def queues(stack, outputs):
    sqs = stack.client("sqs")
    main = sqs.get_queue_attributes(QueueUrl=outputs["queue_url"], AttributeNames=["All"])["Attributes"]
    dead = sqs.get_queue_attributes(QueueUrl=outputs["dead_letter_url"], AttributeNames=["All"])["Attributes"]
    redrive = json.loads(main["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"] == dead["QueueArn"] and int(redrive["maxReceiveCount"]) >= 3, redrive
    allow = json.loads(dead["RedriveAllowPolicy"])
    assert allow == {"redrivePermission": "byQueue", "sourceQueueArns": [main["QueueArn"]]}, allow
    assert int(dead["MessageRetentionPeriod"]) > int(main["MessageRetentionPeriod"])
    assert main["KmsMasterKeyId"] == dead["KmsMasterKeyId"] and ":key/" in main["KmsMasterKeyId"]
    statements = {statement["Sid"]: statement for statement in as_list(json.loads(main["Policy"])["Statement"])}
    assert statements["OnlyEncrypted"]["Effect"] == "Deny" and statements["OnlyEncrypted"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    fence = statements["ConsumeOnlyThroughEndpoint"]
    assert fence["Effect"] == "Deny" and fence["Condition"]["StringNotEquals"]["aws:SourceVpce"] == outputs["reach"]["endpoints"]["sqs"], fence
    assert as_list(json.loads(dead["Policy"])["Statement"])[0]["Sid"] == "OnlyEncrypted"
    assert stack.client("kms").get_key_rotation_status(KeyId=main["KmsMasterKeyId"])["KeyRotationEnabled"]
    return 2


def endpoints(stack, outputs):
    ec2 = stack.client("ec2")
    wanted = outputs["reach"]["endpoints"]
    found = {endpoint["VpcEndpointId"]: endpoint for endpoint in ec2.describe_vpc_endpoints()["VpcEndpoints"]}
    for service, identity in wanted.items():
        endpoint = found[identity]
        assert endpoint["ServiceName"].endswith(f".{service}") and endpoint["VpcEndpointType"] == "Interface", endpoint
        assert endpoint["PrivateDnsEnabled"], service
        assert set(endpoint["SubnetIds"]) == set(outputs["reach"]["subnets"]["a"]), service
        groups = [group["GroupId"] for group in endpoint.get("Groups", [])]
        assert groups == [outputs["reach"]["groups"]["endpoints"]], groups
        policy = json.loads(endpoint["PolicyDocument"])
        assert "Condition" in str(policy), f"{service}: the policy lets everybody through"
    sqs = json.loads(found[wanted["sqs"]]["PolicyDocument"])["Statement"]
    consume = next(statement for statement in as_list(sqs) if statement["Sid"] == "ConsumeOneQueue")
    assert consume["Resource"] == outputs["queue_arn"]
    assert consume["Condition"]["ArnEquals"]["aws:PrincipalArn"] == outputs["task_role_arn"]
    assert sorted(consume["Action"]) == ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ReceiveMessage"]
    gateways = [endpoint for endpoint in found.values() if endpoint["VpcEndpointType"] == "Gateway"]
    assert len(gateways) == 1 and gateways[0]["ServiceName"].endswith(".s3")
    return len(wanted) + 1


def networks(stack, outputs):
    ec2 = stack.client("ec2")
    seen = 0
    for vpc in set(outputs["reach"]["vpc_ids"].values()):
        for attribute, key in (("enableDnsSupport", "EnableDnsSupport"), ("enableDnsHostnames", "EnableDnsHostnames")):
            assert ec2.describe_vpc_attribute(VpcId=vpc, Attribute=attribute)[key]["Value"], attribute
        chosen = [{"Name": "vpc-id", "Values": [vpc]}]
        default = ec2.describe_security_groups(Filters=[*chosen, {"Name": "group-name", "Values": ["default"]}])["SecurityGroups"][0]
        assert not default["IpPermissions"] and not default["IpPermissionsEgress"], "the default group has rules"
        assert ec2.describe_flow_logs(Filters=[{"Name": "resource-id", "Values": [vpc]}])["FlowLogs"], "no flow logs"
        for subnet in ec2.describe_subnets(Filters=chosen)["Subnets"]:
            assert not subnet["MapPublicIpOnLaunch"]
            acls = ec2.describe_network_acls(Filters=[{"Name": "association.subnet-id", "Values": [subnet["SubnetId"]]}])["NetworkAcls"]
            assert len(acls) == 1 and not acls[0]["IsDefault"], "a subnet is under the default ACL"
            seen += 1
        assert not ec2.describe_internet_gateways(Filters=[{"Name": "attachment.vpc-id", "Values": [vpc]}])["InternetGateways"]
    for name, group in outputs["reach"]["groups"].items():
        for permission in ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]:
            assert all(entry["CidrIp"] != "0.0.0.0/0" for entry in permission["IpRanges"]), f"{name} lets the world in"
    return seen + 3


def alarms(stack, outputs):
    cloudwatch = stack.client("cloudwatch")
    names = outputs["alarm_names"]
    plain = {alarm["AlarmName"]: alarm for alarm in cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]}
    composite = cloudwatch.describe_alarms(AlarmNames=names, AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
    assert len(plain) + len(composite) == len(names) and len(composite) == 1, (sorted(plain), names)
    assert composite[0]["AlarmActions"] == [outputs["topic_arn"]]
    for name, alarm in plain.items():
        spoken_for = f'"{name}"' in composite[0]["AlarmRule"]
        assert spoken_for != bool(alarm["AlarmActions"]), f"{name}: an alarm acts itself or through the composite one"
        assert alarm["TreatMissingData"] == "notBreaching" and alarm["AlarmDescription"]
    assert stack.client("sns").get_topic_attributes(TopicArn=outputs["topic_arn"])["Attributes"]["KmsMasterKeyId"]
    assert cloudwatch.list_dashboards()["DashboardEntries"]
    return len(names)


def roles(stack, outputs):
    iam = stack.client("iam")
    name = outputs["task_role_arn"].rsplit("/", 1)[1]
    assert not iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"], "the appliance's role has managed policies"
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == ["consume"]
    trust = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]["Statement"]
    if stack.example == "two-vpc-ecs":
        assert "aws:SourceAccount" in json.dumps(trust)
    if stack.example == "two-vpc-eks":
        assert "system:serviceaccount:millrace:millrace" in json.dumps(trust)
    return 1


def transit(stack, outputs):
    if not stack.example.startswith("two-vpc") and stack.example != "msk":
        assert not stack.client("ec2").describe_transit_gateways()["TransitGateways"]
        return 0
    ec2 = stack.client("ec2")
    gateway = ec2.describe_transit_gateways()["TransitGateways"][0]
    assert gateway["Options"]["DefaultRouteTableAssociation"] == gateway["Options"]["DefaultRouteTablePropagation"] == "disable"
    attachments = {item["VpcId"]: item["TransitGatewayAttachmentId"] for item in ec2.describe_transit_gateway_vpc_attachments()["TransitGatewayVpcAttachments"]}
    vpcs = outputs["reach"]["vpc_ids"]
    # The emulator makes a default table even where it is disabled; it has no tags and nothing uses it.
    tables = [table for table in ec2.describe_transit_gateway_route_tables()["TransitGatewayRouteTables"] if table.get("Tags")]
    assert len(tables) == 2, tables
    for table in tables:
        identity = table["TransitGatewayRouteTableId"]
        side = next(tag["Value"] for tag in table["Tags"] if tag["Key"] == "Name")[-1]
        other = {"a": "b", "b": "a"}[side]
        linked = ec2.get_transit_gateway_route_table_associations(TransitGatewayRouteTableId=identity)["Associations"]
        learnt = ec2.get_transit_gateway_route_table_propagations(TransitGatewayRouteTableId=identity)["TransitGatewayRouteTablePropagations"]
        assert [entry["TransitGatewayAttachmentId"] for entry in linked] == [attachments[vpcs[side]]], side
        assert [entry["TransitGatewayAttachmentId"] for entry in learnt] == [attachments[vpcs[other]]], side
    return 5


def ecs(stack, outputs):
    if stack.example != "two-vpc-ecs":
        return 0
    client = stack.client("ecs")
    task = client.describe_task_definition(taskDefinition="orders")["taskDefinition"]
    container = task["containerDefinitions"][0]
    assert task["networkMode"] == "awsvpc" and not container.get("privileged") and container["readonlyRootFilesystem"]
    assert container["linuxParameters"]["capabilities"]["drop"] == ["ALL"] and container["user"] == "65532:65532"
    assert {limit["name"]: limit["softLimit"] for limit in container["ulimits"]}["memlock"] >= 512 << 10
    assert container["dockerSecurityOptions"] == ["no-new-privileges"], "ECS takes no seccomp profile here"
    assert "@sha256:" in container["image"]
    assert container["command"] == outputs["command"]
    assert "password" not in json.dumps(container["environment"]).lower()
    assert container["stopTimeout"] > 25
    provider = client.describe_capacity_providers(capacityProviders=["orders"])["capacityProviders"][0]
    assert provider["autoScalingGroupProvider"]["managedTerminationProtection"] == "ENABLED"
    policy = stack.client("application-autoscaling").describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"][0]
    assert "backlog" in json.dumps(policy["TargetTrackingScalingPolicyConfiguration"])
    return 4


def machines(stack, outputs):
    templates = stack.client("ec2").describe_launch_templates()["LaunchTemplates"]
    assert len(templates) == 1
    version = stack.client("ec2").describe_launch_template_versions(LaunchTemplateId=templates[0]["LaunchTemplateId"])["LaunchTemplateVersions"][-1]
    chosen = version["LaunchTemplateData"]
    assert chosen["MetadataOptions"]["HttpTokens"] == "required" and int(chosen["MetadataOptions"]["HttpPutResponseHopLimit"]) == 1
    assert all(device["Ebs"]["Encrypted"] for device in chosen["BlockDeviceMappings"])
    if stack.example != "two-vpc-eks":
        assert outputs["reach"]["groups"]["processor"] in json.dumps(chosen)
        groups = stack.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        assert len(groups) == 1 and groups[0]["MinSize"] >= 1
    return 2


def eks(stack, outputs):
    if stack.example != "two-vpc-eks":
        return 0
    client = stack.client("eks")
    cluster = client.describe_cluster(name="events")["cluster"]
    assert cluster["encryptionConfig"][0]["resources"] == ["secrets"]
    group = client.describe_nodegroup(clusterName="events", nodegroupName="events-pump")["nodegroup"]
    assert group["taints"] == [{"key": "millrace/pump", "value": "only", "effect": "NO_SCHEDULE"}], group.get("taints")
    assert stack.client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"]
    return 3


def dns(stack, outputs):
    if stack.example == "msk":
        return 0
    route53 = stack.client("route53")
    zone = route53.list_hosted_zones()["HostedZones"][0]
    records = {record["Name"].rstrip("."): record for record in route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]}
    for broker in outputs["brokers"]:
        assert records[broker.split(":")[0]]["Type"] == "A", broker
    linked = {vpc["VPCId"] for vpc in route53.get_hosted_zone(Id=zone["Id"])["VPCs"]}
    assert outputs["reach"]["vpc_ids"]["a"] in linked, "the processor's VPC does not know the brokers' names"
    return len(outputs["brokers"])


def msk(stack, outputs):
    if stack.example != "msk":
        return 0
    cluster = stack.client("kafka").list_clusters_v2()["ClusterInfoList"][0]
    assert all(broker.endswith(":9096") for broker in outputs["brokers"])
    assert outputs["kafka_secret_arn"] in stack.client("kafka").list_scram_secrets(ClusterArn=cluster["ClusterArn"])["SecretArnList"]
    return 2


def as_list(value):
    return value if isinstance(value, list) else [value]
