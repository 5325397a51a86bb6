output "transit_gateway_id" {
  description = "The transit gateway."
  value       = aws_ec2_transit_gateway.this.id
}

output "route_table_ids" {
  description = "Route tables of the transit gateway by side."
  value       = { for side, table in aws_ec2_transit_gateway_route_table.this : side => table.id }
}

output "attachment_ids" {
  description = "Attachments by side."
  value       = { for side, attachment in aws_ec2_transit_gateway_vpc_attachment.this : side => attachment.id }
}
