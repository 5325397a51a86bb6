# Log group, metrics of the log, alarms with an action each, one composite alarm that pages, a dashboard, and the key and topic they need.

locals {
  queue       = { QueueName = var.queue_name }
  dead_letter = { QueueName = var.dead_letter_name }

  queue_alarms = {
    oldest-message = {
      description = "The oldest message has waited longer than ${var.oldest_message_age_seconds} s: runbook oldest-message-age"
      metrics     = { age = { namespace = "AWS/SQS", name = "ApproximateAgeOfOldestMessage", stat = "Maximum", dimensions = local.queue } }
      expression  = "FILL(age, 0)"
      threshold   = var.oldest_message_age_seconds
      comparison  = "GreaterThanThreshold"
      periods     = 3
    }
    dead-letters = {
      description = "Messages are in the dead-letter queue: they were received too often or could not be delivered"
      metrics     = { dead = { namespace = "AWS/SQS", name = "ApproximateNumberOfMessagesVisible", stat = "Maximum", dimensions = local.dead_letter } }
      expression  = "FILL(dead, 0)"
      threshold   = 0
      comparison  = "GreaterThanThreshold"
      periods     = 1
    }
    standstill = {
      description = "Messages wait and none is deleted: nothing is delivered"
      metrics = {
        waiting = { namespace = "AWS/SQS", name = "ApproximateNumberOfMessagesVisible", stat = "Minimum", dimensions = local.queue }
        deleted = { namespace = "AWS/SQS", name = "NumberOfMessagesDeleted", stat = "Sum", dimensions = local.queue }
      }
      expression = "IF(FILL(waiting, 0) > 0 AND FILL(deleted, 0) < 1, 1, 0)"
      threshold  = 0
      comparison = "GreaterThanThreshold"
      periods    = 5
    }
  }

  pump_alarms = var.ecs == null && var.autoscaling_group_name == null ? {} : {
    pumps-missing = {
      description = "Fewer pumps run than wanted"
      metrics = {
        running = local.running
        desired = local.desired
      }
      expression = "FILL(desired, 0) - FILL(running, 0)"
      threshold  = 0
      comparison = "GreaterThanThreshold"
      periods    = 10
    }
  }
  running = var.ecs != null ? { namespace = "ECS/ContainerInsights", name = "RunningTaskCount", stat = "Average", dimensions = local.ecs_dimensions } : { namespace = "AWS/AutoScaling", name = "GroupInServiceInstances", stat = "Average", dimensions = local.group_dimensions }
  desired = var.ecs != null ? { namespace = "ECS/ContainerInsights", name = "DesiredTaskCount", stat = "Average", dimensions = local.ecs_dimensions } : { namespace = "AWS/AutoScaling", name = "GroupDesiredCapacity", stat = "Average", dimensions = local.group_dimensions }
  ecs_dimensions = {
    ClusterName = try(var.ecs.cluster_name, "none")
    ServiceName = try(var.ecs.service_name, "none")
  }
  group_dimensions = { AutoScalingGroupName = coalesce(var.autoscaling_group_name, "none") }

  transit_alarms = {
    for side, attachment in var.transit_attachments : "transit-drops-${side}" => {
      description = "The transit gateway drops packets of side ${side}: a route is missing or leads nowhere"
      metrics = {
        blackhole = { namespace = "AWS/TransitGateway", name = "PacketDropCountBlackhole", stat = "Sum", dimensions = { TransitGateway = var.transit_gateway_id, TransitGatewayAttachment = attachment } }
        no_route  = { namespace = "AWS/TransitGateway", name = "PacketDropCountNoRoute", stat = "Sum", dimensions = { TransitGateway = var.transit_gateway_id, TransitGatewayAttachment = attachment } }
      }
      expression = "FILL(blackhole, 0) + FILL(no_route, 0)"
      threshold  = 0
      comparison = "GreaterThanThreshold"
      periods    = 3
    }
  }

  endpoint_alarms = {
    endpoint-drops = {
      description = "The SQS endpoint drops packets: its security group, or more traffic than it takes"
      metrics     = { dropped = { namespace = "AWS/PrivateLinkEndpoints", name = "PacketsDropped", stat = "Sum", dimensions = { "Endpoint Type" = "Interface", "Service Name" = "com.amazonaws.${var.region}.sqs", "VPC Endpoint Id" = var.sqs_endpoint_id, "VPC Id" = var.vpc_id } } }
      expression  = "FILL(dropped, 0)"
      threshold   = 100
      comparison  = "GreaterThanThreshold"
      periods     = 3
    }
  }

  log_alarms = var.has_log ? {
    for name, filter in local.filters : name => {
      description = filter.description
      metrics     = { count = { namespace = "Millrace/${var.name}", name = filter.metric, stat = "Sum", dimensions = {} } }
      expression  = "FILL(count, 0)"
      threshold   = filter.threshold
      comparison  = "GreaterThanThreshold"
      periods     = 1
    }
  } : {}

  # Each line of the log is one JSON object; `event` is stable.
  filters = {
    shard-died = {
      description = "A shard died and took its process along"
      pattern     = "{ $.event = \"shard_died\" }"
      metric      = "ShardsDied"
      threshold   = 0
    }
    log-errors = {
      description = "Millrace logs errors"
      pattern     = "{ $.level = \"ERROR\" }"
      metric      = "LogErrors"
      threshold   = 10
    }
  }

  alarms = merge(local.queue_alarms, local.pump_alarms, local.transit_alarms, local.endpoint_alarms, local.log_alarms)
  # What wakes somebody; the others wait for the morning.
  paging = ["oldest-message", "standstill"]
}

data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109:the policy of a key: its resource is the key, and the account's own IAM policies decide
  #checkov:skip=CKV_AWS_111:the policy of a key: its resource is the key
  #checkov:skip=CKV_AWS_356:the policy of a key: its resource is the key
  statement {
    sid       = "AccountAdministers"
    actions   = ["kms:*"]
    resources = ["*"] # in a key's policy: this key
    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${var.account_id}:root"]
    }
  }
  statement {
    sid       = "LogsEncrypt"
    actions   = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:DescribeKey"]
    resources = ["*"] # in a key's policy: this key
    principals {
      type        = "Service"
      identifiers = ["logs.${var.region}.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:aws:logs:${var.region}:${var.account_id}:log-group:/millrace/*"]
    }
  }
  statement {
    sid       = "AlarmsPublish"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["*"] # in a key's policy: this key
    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
  }
}

resource "aws_kms_key" "this" {
  description             = "${var.name}: logs and alarms"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
  tags                    = var.tags
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/millrace/${var.name}/appliance"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.this.arn
  tags              = var.tags
}

resource "aws_cloudwatch_log_metric_filter" "this" {
  for_each = var.has_log ? local.filters : {}

  name           = "${var.name}-${each.key}"
  log_group_name = aws_cloudwatch_log_group.this.name
  pattern        = each.value.pattern

  metric_transformation {
    namespace     = "Millrace/${var.name}"
    name          = each.value.metric
    value         = "1"
    default_value = "0"
  }
}

resource "aws_sns_topic" "this" {
  name              = "${var.name}-alarms"
  kms_master_key_id = aws_kms_key.this.arn
  tags              = var.tags
}

data "aws_iam_policy_document" "topic" {
  statement {
    sid       = "AlarmsPublish"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.this.arn]
    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
  }
}

resource "aws_sns_topic_policy" "this" {
  arn    = aws_sns_topic.this.arn
  policy = data.aws_iam_policy_document.topic.json
}

resource "aws_sns_topic_subscription" "this" {
  for_each = var.subscriptions

  topic_arn = aws_sns_topic.this.arn
  protocol  = each.value.protocol
  endpoint  = each.value.endpoint
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  evaluation_periods  = each.value.periods
  datapoints_to_alarm = each.value.periods
  # Every expression fills gaps itself; what is still missing means that the source is not there yet.
  treat_missing_data = "notBreaching"
  # Members of the composite alarm speak through it.
  alarm_actions = contains(local.paging, each.key) ? [] : [aws_sns_topic.this.arn]
  ok_actions    = contains(local.paging, each.key) ? [] : [aws_sns_topic.this.arn]
  tags          = var.tags

  metric_query {
    id          = "result"
    label       = each.key
    expression  = each.value.expression
    return_data = true
  }

  dynamic "metric_query" {
    for_each = each.value.metrics
    content {
      id          = metric_query.key
      return_data = false
      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.name
        stat        = metric_query.value.stat
        period      = 60
        dimensions  = metric_query.value.dimensions
      }
    }
  }
}

resource "aws_cloudwatch_composite_alarm" "page" {
  alarm_name        = "${var.name}-page"
  alarm_description = "Messages are late or stand still: somebody must look now"
  alarm_rule        = join(" OR ", [for name in local.paging : "ALARM(\"${aws_cloudwatch_metric_alarm.this[name].alarm_name}\")"])
  alarm_actions     = [aws_sns_topic.this.arn]
  ok_actions        = [aws_sns_topic.this.arn]
  tags              = var.tags
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = concat(
      [
        {
          type = "metric", x = 0, y = 0, width = 12, height = 6
          properties = {
            title = "Backlog", region = var.region, view = "timeSeries", stat = "Maximum", period = 60
            metrics = [
              ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", var.queue_name, { label = "waiting" }],
              ["AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", var.queue_name, { label = "in flight" }],
              ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", var.dead_letter_name, { label = "dead letters" }],
            ]
          }
        },
        {
          type = "metric", x = 12, y = 0, width = 12, height = 6
          properties = {
            title       = "Age of the oldest message, s", region = var.region, view = "timeSeries", stat = "Maximum", period = 60
            metrics     = [["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", var.queue_name]]
            annotations = { horizontal = [{ label = "alarm", value = var.oldest_message_age_seconds }] }
          }
        },
        {
          type = "metric", x = 0, y = 6, width = 12, height = 6
          properties = {
            title = "Messages a minute", region = var.region, view = "timeSeries", stat = "Sum", period = 60
            metrics = [
              ["AWS/SQS", "NumberOfMessagesSent", "QueueName", var.queue_name],
              ["AWS/SQS", "NumberOfMessagesReceived", "QueueName", var.queue_name],
              ["AWS/SQS", "NumberOfMessagesDeleted", "QueueName", var.queue_name],
              ["AWS/SQS", "NumberOfEmptyReceives", "QueueName", var.queue_name],
            ]
          }
        },
        {
          type = "alarm", x = 12, y = 6, width = 12, height = 6
          properties = {
            title  = "Alarms"
            alarms = concat([aws_cloudwatch_composite_alarm.page.arn], [for alarm in aws_cloudwatch_metric_alarm.this : alarm.arn])
          }
        },
      ],
      var.ecs == null && var.autoscaling_group_name == null ? [] : [
        {
          type = "metric", x = 0, y = 12, width = 12, height = 6
          properties = {
            title = "Pumps", region = var.region, view = "timeSeries", stat = local.running.stat, period = 60
            metrics = [
              concat([local.running.namespace, local.running.name], flatten([for key in sort(keys(local.running.dimensions)) : [key, local.running.dimensions[key]]])),
              concat([local.desired.namespace, local.desired.name], flatten([for key in sort(keys(local.desired.dimensions)) : [key, local.desired.dimensions[key]]])),
            ]
          }
        },
      ]
    )
  })
}
