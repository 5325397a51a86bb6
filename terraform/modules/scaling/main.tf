# Scales on the backlog per pump. CPU says nothing: a shard polls and is never idle.

locals {
  # No running pump counts as one, or the division would be empty just when help is needed.
  expression = "backlog / IF(FILL(pumps, 0) < 1, 1, pumps)"
  backlog = {
    namespace  = "AWS/SQS"
    name       = "ApproximateNumberOfMessagesVisible"
    stat       = "Average"
    dimensions = { QueueName = var.queue_name }
  }
  pumps = var.ecs != null ? {
    namespace  = "ECS/ContainerInsights"
    name       = "RunningTaskCount"
    stat       = "Average"
    dimensions = { ClusterName = var.ecs.cluster_name, ServiceName = var.ecs.service_name }
    } : {
    namespace  = "AWS/AutoScaling"
    name       = "GroupInServiceInstances"
    stat       = "Average"
    dimensions = { AutoScalingGroupName = coalesce(var.autoscaling_group_name, "none") }
  }
  metrics = { backlog = local.backlog, pumps = local.pumps }
}

resource "aws_appautoscaling_target" "this" {
  count = var.ecs == null ? 0 : 1

  service_namespace  = "ecs"
  resource_id        = "service/${var.ecs.cluster_name}/${var.ecs.service_name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.capacity.min
  max_capacity       = var.capacity.max
}

resource "aws_appautoscaling_policy" "this" {
  count = var.ecs == null ? 0 : 1

  name               = "${var.name}-backlog"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this[0].service_namespace
  resource_id        = aws_appautoscaling_target.this[0].resource_id
  scalable_dimension = aws_appautoscaling_target.this[0].scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = var.backlog_per_pump
    scale_out_cooldown = 60
    scale_in_cooldown  = 600

    customized_metric_specification {
      dynamic "metrics" {
        for_each = local.metrics
        content {
          id          = metrics.key
          return_data = false
          metric_stat {
            stat = metrics.value.stat
            metric {
              namespace   = metrics.value.namespace
              metric_name = metrics.value.name
              dynamic "dimensions" {
                for_each = metrics.value.dimensions
                content {
                  name  = dimensions.key
                  value = dimensions.value
                }
              }
            }
          }
        }
      }
      metrics {
        id          = "backlog_per_pump"
        label       = "Backlog per pump"
        expression  = local.expression
        return_data = true
      }
    }
  }
}

resource "aws_autoscaling_policy" "this" {
  count = var.autoscaling_group_name == null ? 0 : 1

  name                      = "${var.name}-backlog"
  autoscaling_group_name    = var.autoscaling_group_name
  policy_type               = "TargetTrackingScaling"
  estimated_instance_warmup = 60

  target_tracking_configuration {
    target_value = var.backlog_per_pump

    customized_metric_specification {
      dynamic "metrics" {
        for_each = local.metrics
        content {
          id          = metrics.key
          return_data = false
          metric_stat {
            stat = metrics.value.stat
            metric {
              namespace   = metrics.value.namespace
              metric_name = metrics.value.name
              dynamic "dimensions" {
                for_each = metrics.value.dimensions
                content {
                  name  = dimensions.key
                  value = dimensions.value
                }
              }
            }
          }
        }
      }
      metrics {
        id          = "backlog_per_pump"
        label       = "Backlog per pump"
        expression  = local.expression
        return_data = true
      }
    }
  }
}
