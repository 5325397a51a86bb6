output "queue_url" {
  description = "URL of the queue."
  value       = module.queue.url
}

output "queue_arn" {
  description = "ARN of the queue."
  value       = module.queue.arn
}

output "dead_letter_url" {
  description = "URL of the dead-letter queue."
  value       = module.queue.dead_letter_url
}

output "brokers" {
  description = "Brokers, host:port."
  value       = local.brokers
}

output "task_role_arn" {
  description = "Role of the appliance."
  value       = module.iam.task_role_arn
}

output "millrace_toml" {
  description = "The appliance's configuration as a file: `terraform output -raw millrace_toml > millrace.toml`."
  value       = local.millrace_toml
}

output "command" {
  description = "The same configuration as arguments of millrace, as the ECS task has it."
  value       = local.command
}

output "user_data" {
  description = "Preparation of a machine, as it will run."
  value       = one(concat(module.compute_ecs[*].user_data, module.compute_eks[*].user_data, module.compute_ec2[*].user_data))
}

output "alarm_names" {
  description = "All alarms, the composite one first."
  value       = module.observability.alarm_names
}

output "topic_arn" {
  description = "Topic of the alarms."
  value       = module.observability.topic_arn
}

output "kafka_secret_arn" {
  description = "Secret that holds Kafka's password; null without a login."
  value       = local.has_login ? local.secret.arn : null
}

output "reach" {
  description = "Ids that the check of reachability begins from."
  value = {
    vpc_ids   = local.vpc_ids
    subnets   = local.workload_subnets
    groups    = module.security.group_ids
    port      = local.broker_port
    endpoints = module.endpoints.endpoint_ids
  }
}
