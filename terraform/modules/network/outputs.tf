output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}

output "cidr" {
  description = "Range of the VPC."
  value       = aws_vpc.this.cidr_block
}

output "subnet_ids" {
  description = "Subnets by tier, then by name."
  value       = { for tier in local.tiers : tier => { for key, subnet in var.subnets : key => aws_subnet.this[key].id if subnet.tier == tier } }
}

output "route_table_ids" {
  description = "Route tables by tier."
  value       = { for tier, table in aws_route_table.this : tier => table.id }
}

output "acl_ids" {
  description = "Network ACLs by tier."
  value       = { for tier, acl in aws_network_acl.this : tier => acl.id }
}
