output "cluster_name" {
  description = "The cluster."
  value       = aws_ecs_cluster.this.name
}

output "service_name" {
  description = "The service."
  value       = aws_ecs_service.this.name
}

output "autoscaling_group_name" {
  description = "The machines' group."
  value       = aws_autoscaling_group.this.name
}

output "user_data" {
  description = "Preparation of a machine, as it will run."
  value       = local.user_data
}
