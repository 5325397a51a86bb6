output "zone_id" {
  description = "The private zone."
  value       = aws_route53_zone.this.zone_id
}

output "broker_names" {
  description = "Full names of the brokers by host name."
  value       = { for host, record in aws_route53_record.broker : host => record.name }
}
