output "cluster_name" {
  description = "The cluster."
  value       = aws_eks_cluster.this.name
}

output "oidc" {
  description = "Identity provider of the cluster: its ARN, and the issuer without https://."
  value       = { provider_arn = aws_iam_openid_connect_provider.this.arn, issuer = local.issuer }
}

output "user_data" {
  description = "Preparation of a node, as it will run."
  value       = local.script
}
