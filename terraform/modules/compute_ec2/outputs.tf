output "autoscaling_group_name" {
  description = "The machines' group."
  value       = aws_autoscaling_group.this.name
}

output "user_data" {
  description = "Preparation of a machine, as it will run."
  value       = local.user_data
}
