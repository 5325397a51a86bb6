output "kms_key_arn" {
  description = "Key of logs and alarms."
  value       = aws_kms_key.this.arn
}

output "log_group_name" {
  description = "Log group of the appliance."
  value       = aws_cloudwatch_log_group.this.name
}

output "log_group_arn" {
  description = "Log group of the appliance."
  value       = aws_cloudwatch_log_group.this.arn
}

output "topic_arn" {
  description = "Topic of the alarms."
  value       = aws_sns_topic.this.arn
}

output "alarm_names" {
  description = "All alarms, the composite one first."
  value       = concat([aws_cloudwatch_composite_alarm.page.alarm_name], [for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_name])
}

output "key_policy_json" {
  description = "Policy of the key."
  value       = data.aws_iam_policy_document.key.json
}
