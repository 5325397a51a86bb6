output "task_role_arn" {
  description = "Role of the appliance."
  value       = aws_iam_role.task.arn
}

output "execution_role_arn" {
  description = "Role that starts the ECS task; null elsewhere."
  value       = one(aws_iam_role.execution[*].arn)
}

output "host_role_arn" {
  description = "Role of the machines of a cluster; null on plain hosts."
  value       = one(aws_iam_role.host[*].arn)
}

output "host_profile_name" {
  description = "Instance profile of the machines: of the host's role in ECS, of the task's role on plain hosts; null in EKS."
  value       = one(concat(aws_iam_instance_profile.host[*].name, aws_iam_instance_profile.plain_host[*].name))
}

output "task_policy_json" {
  description = "Policy of the appliance."
  value       = data.aws_iam_policy_document.task.json
}

output "task_trust_json" {
  description = "Who may take the appliance's role."
  value       = data.aws_iam_policy_document.task_trust.json
}

output "execution_policy_json" {
  description = "Policy of what starts the task."
  value       = data.aws_iam_policy_document.execution.json
}

output "host_policy_json" {
  description = "Policy of a machine of the ECS cluster."
  value       = data.aws_iam_policy_document.host.json
}
