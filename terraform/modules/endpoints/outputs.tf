output "sqs_endpoint_id" {
  description = "The SQS endpoint: what the queue's policy asks for."
  value       = aws_vpc_endpoint.sqs.id
}

output "endpoint_ids" {
  description = "All interface endpoints by service."
  value       = merge({ sqs = aws_vpc_endpoint.sqs.id }, { for service, endpoint in aws_vpc_endpoint.interface : service => endpoint.id })
}

output "s3_prefix_list_id" {
  description = "Prefix list of S3, for the rule that lets the processor out to it."
  value       = aws_vpc_endpoint.s3.prefix_list_id
}

output "sqs_policy_json" {
  description = "Policy of the SQS endpoint."
  value       = data.aws_iam_policy_document.sqs.json
}

output "s3_policy_json" {
  description = "Policy of the S3 gateway."
  value       = data.aws_iam_policy_document.s3.json
}
