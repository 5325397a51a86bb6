output "bootstrap_brokers" {
  description = "Brokers of the SCRAM listener, host:port."
  value       = split(",", aws_msk_cluster.this.bootstrap_brokers_sasl_scram)
}

output "secret" {
  description = "Secret of the client's password, and its key."
  value       = { arn = aws_secretsmanager_secret.client.arn, kms_key_arn = aws_kms_key.this.arn }
}

output "arn" {
  description = "ARN of the cluster."
  value       = aws_msk_cluster.this.arn
}
