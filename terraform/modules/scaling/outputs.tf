output "expression" {
  description = "Metric math that is held at its target."
  value       = local.expression
}

output "policy_arn" {
  description = "The scaling policy."
  value       = one(concat(aws_appautoscaling_policy.this[*].arn, aws_autoscaling_policy.this[*].arn))
}
