output "group_ids" {
  description = "Security groups: processor, endpoints, brokers."
  value       = { for name, group in aws_security_group.this : name => group.id }
}
