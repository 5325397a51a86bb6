# Logic of the modules against a provider that invents what AWS would answer: counts, keys, switches. What AWS accepts is not shown here.

mock_provider "aws" {
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000001" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mocked" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:mocked" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-west-1:123456789012:mocked", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/mocked", id = "https://sqs.eu-west-1.amazonaws.com/123456789012/mocked" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-west-1:123456789012:mocked" }
  }
  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
  }
  mock_resource "aws_autoscaling_group" {
    defaults = { arn = "arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:00000000-0000-0000-0000-000000000001:autoScalingGroupName/mocked" }
  }
  mock_resource "aws_msk_configuration" {
    defaults = { arn = "arn:aws:kafka:eu-west-1:123456789012:configuration/mocked/1", latest_revision = 1 }
  }
  mock_resource "aws_msk_cluster" {
    defaults = { arn = "arn:aws:kafka:eu-west-1:123456789012:cluster/mocked/1", bootstrap_brokers_sasl_scram = "b1:9096,b2:9096" }
  }
  mock_resource "aws_secretsmanager_secret" {
    defaults = { arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mocked" }
  }
  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/mocked:1" }
  }
  mock_resource "aws_eks_cluster" {
    defaults = { identity = [{ oidc = [{ issuer = "https://oidc.eks.eu-west-1.amazonaws.com/id/M" }] }] }
  }
  mock_resource "aws_iam_openid_connect_provider" {
    defaults = { arn = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/M" }
  }
  mock_resource "aws_cloudwatch_composite_alarm" {
    defaults = { arn = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:mocked" }
  }
  mock_resource "aws_cloudwatch_metric_alarm" {
    defaults = { arn = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:mocked" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

run "network" {
  module { source = "./modules/network" }
  variables {
    name            = "orders"
    cidr            = "10.0.0.0/16"
    account_id      = "123456789012"
    log_kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/1"
    subnets = {
      one   = { cidr = "10.0.0.0/24", zone = "eu-west-1a", tier = "a" }
      two   = { cidr = "10.0.1.0/24", zone = "eu-west-1b", tier = "a" }
      three = { cidr = "10.0.2.0/28", zone = "eu-west-1a", tier = "attachment" }
    }
    acl_rules = {
      a = { tls = { egress = true, number = 100, cidr = "10.0.0.0/16", from_port = 443, to_port = 443 } }
    }
  }
  assert {
    condition     = keys(aws_route_table.this) == ["a", "attachment"] && length(aws_route_table_association.this) == 3
    error_message = "a route table for each tier, an association for each subnet"
  }
  assert {
    condition     = keys(aws_network_acl_rule.this) == ["a/tls"] && aws_network_acl_rule.this["a/tls"].rule_action == "allow"
    error_message = "rules are keyed by tier and name"
  }
  assert {
    condition     = alltrue([for subnet in aws_subnet.this : !subnet.map_public_ip_on_launch])
    error_message = "no subnet gives public addresses"
  }
}

run "network_refuses" {
  command = plan
  module { source = "./modules/network" }
  variables {
    name                    = "Orders"
    cidr                    = "10.0.0.0/8"
    account_id              = "12"
    flow_log_retention_days = 2
    log_kms_key_arn         = "x"
    subnets                 = {}
    acl_rules = { a = {
      one = { egress = true, number = 100, cidr = "10.0.0.0/16" }
      two = { egress = true, number = 100, cidr = "10.0.0.0/16" }
    } }
  }
  expect_failures = [var.name, var.cidr, var.account_id, var.flow_log_retention_days, var.subnets, var.acl_rules]
}

run "transit" {
  module { source = "./modules/transit" }
  variables {
    name = "orders"
    attachments = {
      a = { vpc_id = "vpc-a", cidr = "10.0.0.0/16", subnet_ids = ["subnet-1"], route_tables = { w = "rtb-a" }, learns_from = ["b"] }
      b = { vpc_id = "vpc-b", cidr = "10.1.0.0/16", subnet_ids = ["subnet-2"], route_tables = { w = "rtb-b" }, learns_from = ["a"] }
      c = { vpc_id = "vpc-c", cidr = "10.2.0.0/16", subnet_ids = ["subnet-3"], route_tables = {}, learns_from = [] }
    }
  }
  assert {
    condition     = keys(aws_ec2_transit_gateway_route_table_propagation.this) == ["a<-b", "b<-a"]
    error_message = "each table learns the sides it names and no other"
  }
  assert {
    condition     = { for key, route in aws_route.this : key => route.destination_cidr_block } == { "a/w->b" = "10.1.0.0/16", "b/w->a" = "10.0.0.0/16" }
    error_message = "the VPCs' routes go both ways"
  }
  assert {
    condition     = aws_ec2_transit_gateway.this.default_route_table_association == "disable" && aws_ec2_transit_gateway.this.default_route_table_propagation == "disable"
    error_message = "the default table is off"
  }
}

run "transit_refuses_one_side" {
  command = plan
  module { source = "./modules/transit" }
  variables {
    name        = "orders"
    attachments = { a = { vpc_id = "vpc-a", cidr = "10.0.0.0/16", subnet_ids = [], route_tables = {}, learns_from = ["b"] } }
  }
  expect_failures = [var.attachments]
}

run "security" {
  module { source = "./modules/security" }
  variables {
    name              = "orders"
    vpc_ids           = { a = "vpc-a", b = "vpc-b" }
    cidrs             = { a = "10.0.0.0/16", b = "10.1.0.0/16" }
    broker_ports      = { tls = 9094, sasl = 9096 }
    s3_prefix_list_id = "pl-1"
  }
  assert {
    condition     = keys(aws_vpc_security_group_egress_rule.processor_to_brokers) == ["sasl", "tls"] && length(aws_vpc_security_group_ingress_rule.brokers_from_processor) == 2
    error_message = "a rule for each listener, on both sides"
  }
}

run "security_refuses" {
  command = plan
  module { source = "./modules/security" }
  variables {
    name              = "orders"
    vpc_ids           = { a = "vpc-a", b = "vpc-b" }
    cidrs             = { a = "0.0.0.0/0", b = "10.1.0.0/16" }
    broker_ports      = { ssh = 22 }
    s3_prefix_list_id = "pl-1"
  }
  expect_failures = [var.cidrs, var.broker_ports]
}

run "endpoints" {
  module { source = "./modules/endpoints" }
  variables {
    name               = "orders"
    region             = "eu-west-1"
    account_id         = "123456789012"
    vpc_id             = "vpc-a"
    subnet_ids         = ["subnet-1", "subnet-2"]
    route_table_ids    = ["rtb-1"]
    security_group_id  = "sg-1"
    queue_arn          = "arn:aws:sqs:eu-west-1:123456789012:orders"
    consumer_role_arn  = "arn:aws:iam::123456789012:role/orders-task"
    interface_services = ["ecr.api", "logs"]
  }
  assert {
    condition     = aws_vpc_endpoint.sqs.private_dns_enabled && aws_vpc_endpoint.sqs.service_name == "com.amazonaws.eu-west-1.sqs"
    error_message = "SQS has private DNS"
  }
  assert {
    condition     = keys(aws_vpc_endpoint.interface) == ["ecr.api", "logs"] && aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway"
    error_message = "one endpoint for each service, S3 by gateway"
  }
}

run "endpoints_refuse" {
  command = plan
  module { source = "./modules/endpoints" }
  variables {
    name               = "orders"
    region             = "europe"
    account_id         = "x"
    vpc_id             = "vpc-a"
    subnet_ids         = []
    route_table_ids    = []
    security_group_id  = "sg-1"
    queue_arn          = "arn:aws:sqs:eu-west-1:123456789012:*"
    consumer_role_arn  = "arn:aws:iam::123456789012:role/orders-task"
    interface_services = ["sqs"]
  }
  expect_failures = [var.region, var.account_id, var.queue_arn, var.interface_services]
}

run "dns" {
  module { source = "./modules/dns" }
  variables {
    name    = "orders"
    zone    = "kafka.internal"
    vpc_ids = { a = "vpc-a", b = "vpc-b" }
    brokers = { b1 = "10.1.0.11", b2 = "10.1.1.12" }
    forward = { domains = ["corp.example"], target_ips = ["10.1.0.2"], subnet_ids = ["subnet-1", "subnet-2"], security_group_ids = ["sg-1"] }
  }
  assert {
    condition     = keys(aws_route53_zone_association.this) == ["b"] && aws_route53_record.broker["b1"].name == "b1.kafka.internal"
    error_message = "the zone is known on both sides, each broker has a name"
  }
  assert {
    condition     = length(aws_route53_resolver_endpoint.out) == 1 && keys(aws_route53_resolver_rule.forward) == ["corp.example"]
    error_message = "a rule for each forwarded domain"
  }
}

run "dns_refuses" {
  command = plan
  module { source = "./modules/dns" }
  variables {
    name    = "orders"
    zone    = "kafka"
    vpc_ids = { b = "vpc-b" }
    brokers = { b1 = "broker-one" }
    forward = { domains = ["corp.example"], target_ips = [], subnet_ids = ["subnet-1"], security_group_ids = [] }
  }
  expect_failures = [var.zone, var.vpc_ids, var.brokers, var.forward]
}

run "queue_standard" {
  module { source = "./modules/queue" }
  variables {
    name        = "orders"
    account_id  = "123456789012"
    endpoint_id = "vpce-1"
  }
  assert {
    condition     = aws_sqs_queue.this.name == "orders" && aws_sqs_queue.dead_letter.name == "orders-dead"
    error_message = "names of a standard queue"
  }
  assert {
    condition     = jsondecode(aws_sqs_queue.this.redrive_policy).maxReceiveCount == 10
    error_message = "ten receives before the dead-letter queue"
  }
  assert {
    condition     = aws_kms_key.this.enable_key_rotation
    error_message = "the key rotates"
  }
}

run "queue_fifo" {
  module { source = "./modules/queue" }
  variables {
    name        = "orders"
    account_id  = "123456789012"
    endpoint_id = "vpce-1"
    fifo        = true
  }
  assert {
    condition     = aws_sqs_queue.this.name == "orders.fifo" && aws_sqs_queue.dead_letter.name == "orders-dead.fifo" && aws_sqs_queue.this.fifo_throughput_limit == "perMessageGroupId"
    error_message = "both queues are FIFO, with high throughput"
  }
}

run "queue_refuses" {
  command = plan
  module { source = "./modules/queue" }
  variables {
    name                       = "orders.fifo"
    account_id                 = "x"
    endpoint_id                = "vpce-1"
    visibility_timeout_seconds = 5
    retention_seconds          = 1209600
    receive_count_max          = 1
    data_key_reuse_seconds     = 1
    producer_arns              = ["*"]
  }
  expect_failures = [var.name, var.account_id, var.visibility_timeout_seconds, var.retention_seconds, var.receive_count_max, var.data_key_reuse_seconds, var.producer_arns]
}

run "iam_refuses" {
  command = plan
  module { source = "./modules/iam" }
  variables {
    name              = "orders"
    region            = "eu-west-1"
    account_id        = "x"
    compute           = "fargate"
    queue_arn         = "*"
    queue_kms_key_arn = "*"
  }
  expect_failures = [var.account_id, var.compute, var.queue_arn, var.queue_kms_key_arn]
}

run "iam_refuses_eks_without_provider" {
  command = plan
  module { source = "./modules/iam" }
  variables {
    name              = "orders"
    region            = "eu-west-1"
    account_id        = "123456789012"
    compute           = "eks"
    queue_arn         = "arn:aws:sqs:eu-west-1:123456789012:orders"
    queue_kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/1"
  }
  expect_failures = [var.oidc]
}

run "kafka" {
  module { source = "./modules/kafka" }
  variables {
    name              = "orders"
    account_id        = "123456789012"
    subnet_ids        = ["subnet-1", "subnet-2", "subnet-3"]
    brokers_per_zone  = 2
    security_group_id = "sg-1"
    log_kms_key_arn   = "arn:aws:kms:eu-west-1:123456789012:key/1"
  }
  assert {
    condition     = aws_msk_cluster.this.number_of_broker_nodes == 6 && startswith(aws_secretsmanager_secret.client.name, "AmazonMSK_")
    error_message = "brokers in each zone; MSK's prefix of the secret"
  }
  assert {
    condition     = output.bootstrap_brokers == tolist(["b1:9096", "b2:9096"])
    error_message = "brokers as a list"
  }
}

run "kafka_refuses" {
  command = plan
  module { source = "./modules/kafka" }
  variables {
    name               = "an_order"
    account_id         = "123456789012"
    subnet_ids         = ["subnet-1"]
    instance_type      = "kafka.t3.small"
    brokers_per_zone   = 0
    volume_gib         = 1
    security_group_id  = "sg-1"
    log_kms_key_arn    = "x"
    log_retention_days = 2
  }
  expect_failures = [var.name, var.subnet_ids, var.instance_type, var.brokers_per_zone, var.volume_gib, var.log_retention_days]
}

run "ecs" {
  module { source = "./modules/compute_ecs" }
  variables {
    name               = "orders"
    region             = "eu-west-1"
    image              = "r/millrace@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    image_id           = "ami-0123456789abcdef0"
    instance_type      = "c7i.large"
    memory_mib         = 512
    capacity           = { min = 2, max = 4 }
    command            = ["run"]
    secrets            = { KAFKA_PASSWORD = "arn:secret:password::" }
    subnet_ids         = ["subnet-1"]
    security_group_id  = "sg-1"
    host_profile_name  = "host"
    task_role_arn      = "arn:aws:iam::123456789012:role/task"
    execution_role_arn = "arn:aws:iam::123456789012:role/execution"
    log_group_name     = "/millrace/orders"
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].secrets == [{ name = "KAFKA_PASSWORD", valueFrom = "arn:secret:password::" }]
    error_message = "secrets come by reference"
  }
  assert {
    condition     = length([for constraint in aws_ecs_service.this.placement_constraints : constraint if constraint.type == "distinctInstance"]) == 1
    error_message = "one task on a machine"
  }
  assert {
    condition     = strcontains(output.user_data, "io_uring_setup") && length(aws_launch_template.this.user_data) < 16384
    error_message = "the profile is in the preparation, which fits into user data"
  }
}

run "ecs_refuses" {
  command = plan
  module { source = "./modules/compute_ecs" }
  variables {
    name                 = "ecs-orders"
    region               = "eu-west-1"
    image                = "r/millrace:latest"
    image_id             = "latest"
    instance_type        = "t3.micro"
    memory_mib           = 64
    capacity             = { min = 0, max = 4 }
    command              = ["run"]
    stop_timeout_seconds = 600
    subnet_ids           = ["subnet-1"]
    security_group_id    = "sg-1"
    host_profile_name    = "host"
    task_role_arn        = "arn:aws:iam::123456789012:role/task"
    execution_role_arn   = "arn:aws:iam::123456789012:role/execution"
    log_group_name       = "/millrace/orders"
  }
  expect_failures = [var.name, var.image, var.image_id, var.instance_type, var.memory_mib, var.capacity, var.stop_timeout_seconds]
}

run "ec2" {
  module { source = "./modules/compute_ec2" }
  variables {
    name              = "orders"
    region            = "eu-west-1"
    image_id          = "ami-0123456789abcdef0"
    instance_type     = "c7i.large"
    capacity          = { min = 1, max = 4 }
    configuration     = "[drain]"
    password_secret   = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:kafka"
    subnet_ids        = ["subnet-1"]
    security_group_id = "sg-1"
    host_profile_name = "task"
  }
  assert {
    condition     = strcontains(output.user_data, "get-secret-value") && !strcontains(output.user_data, "aws s3 cp")
    error_message = "without a package nothing is fetched, with a login the password is"
  }
}

run "ec2_refuses" {
  command = plan
  module { source = "./modules/compute_ec2" }
  variables {
    name              = "1"
    region            = "eu-west-1"
    image_id          = "debian"
    instance_type     = "t4g.nano"
    capacity          = { min = 5, max = 4 }
    package           = { bucket = "b", key = "x'; rm -r /.deb", sha256 = "0" }
    configuration     = ""
    subnet_ids        = ["subnet-1"]
    security_group_id = "sg-1"
    host_profile_name = "task"
  }
  expect_failures = [var.name, var.image_id, var.instance_type, var.capacity, var.package]
}

run "eks" {
  module { source = "./modules/compute_eks" }
  variables {
    name              = "events"
    account_id        = "123456789012"
    instance_type     = "c7i.xlarge"
    capacity          = { min = 2, max = 4 }
    subnet_ids        = ["subnet-1", "subnet-2"]
    security_group_id = "sg-1"
    node_role_arn     = "arn:aws:iam::123456789012:role/host"
  }
  assert {
    condition     = !aws_eks_cluster.this.vpc_config[0].endpoint_public_access && output.oidc.issuer == "oidc.eks.eu-west-1.amazonaws.com/id/M"
    error_message = "the cluster is private; the issuer has no scheme"
  }
  assert {
    condition     = strcontains(base64decode(aws_launch_template.this.user_data), "\n#!/bin/bash\n") && strcontains(base64decode(aws_launch_template.this.user_data), "\n--millrace--\n")
    error_message = "the preparation is a part of a MIME message, without indentation"
  }
}

run "eks_refuses" {
  command = plan
  module { source = "./modules/compute_eks" }
  variables {
    name               = "E"
    account_id         = "123456789012"
    kubernetes_version = "1.29"
    ami_type           = "BOTTLEROCKET_x86_64"
    instance_type      = "t3.large"
    capacity           = { min = 0, max = 4 }
    subnet_ids         = ["subnet-1"]
    security_group_id  = "sg-1"
    node_role_arn      = "arn:aws:iam::123456789012:role/host"
  }
  expect_failures = [var.name, var.kubernetes_version, var.ami_type, var.instance_type, var.capacity, var.subnet_ids]
}

run "scaling_of_a_service" {
  module { source = "./modules/scaling" }
  variables {
    name             = "orders"
    queue_name       = "orders"
    ecs              = { cluster_name = "orders", service_name = "orders" }
    capacity         = { min = 2, max = 4 }
    backlog_per_pump = 1000
  }
  assert {
    condition     = length(aws_appautoscaling_policy.this) == 1 && length(aws_autoscaling_policy.this) == 0
    error_message = "a service is scaled by its own policy"
  }
}

run "scaling_of_machines" {
  module { source = "./modules/scaling" }
  variables {
    name                   = "orders"
    queue_name             = "orders"
    autoscaling_group_name = "orders"
    capacity               = { min = 2, max = 4 }
    backlog_per_pump       = 1000
  }
  assert {
    condition     = length(aws_appautoscaling_policy.this) == 0 && length(aws_autoscaling_policy.this) == 1
    error_message = "machines are scaled by their group's policy"
  }
}

run "scaling_refuses" {
  command = plan
  module { source = "./modules/scaling" }
  variables {
    name             = "orders"
    queue_name       = "orders"
    capacity         = { min = 0, max = 4 }
    backlog_per_pump = 1
  }
  expect_failures = [var.capacity, var.backlog_per_pump]
}

run "observability" {
  module { source = "./modules/observability" }
  variables {
    name                = "orders"
    region              = "eu-west-1"
    account_id          = "123456789012"
    queue_name          = "orders"
    dead_letter_name    = "orders-dead"
    ecs                 = { cluster_name = "orders", service_name = "orders" }
    transit_gateway_id  = "tgw-1"
    transit_attachments = { a = "tgw-attach-1", b = "tgw-attach-2" }
    sqs_endpoint_id     = "vpce-1"
    vpc_id              = "vpc-1"
    has_log             = true
    subscriptions       = { operations = { protocol = "email", endpoint = "o@example.com" } }
  }
  assert {
    condition     = keys(aws_cloudwatch_metric_alarm.this) == ["dead-letters", "endpoint-drops", "log-errors", "oldest-message", "pumps-missing", "shard-died", "standstill", "transit-drops-a", "transit-drops-b"]
    error_message = "all alarms, by name"
  }
  assert {
    condition     = alltrue([for name, alarm in aws_cloudwatch_metric_alarm.this : length(alarm.alarm_actions) == 1 || contains(["oldest-message", "standstill"], name)])
    error_message = "each alarm acts, or a composite one acts for it"
  }
}

run "observability_refuses" {
  command = plan
  module { source = "./modules/observability" }
  variables {
    name                       = "O"
    region                     = "eu-west-1"
    account_id                 = "x"
    queue_name                 = "orders"
    dead_letter_name           = "orders-dead"
    oldest_message_age_seconds = 1
    sqs_endpoint_id            = "vpce-1"
    vpc_id                     = "vpc-1"
    has_log                    = false
    log_retention_days         = 2
    subscriptions              = { a = { protocol = "pigeon", endpoint = "x" } }
  }
  expect_failures = [var.name, var.account_id, var.oldest_message_age_seconds, var.log_retention_days, var.subscriptions]
}
