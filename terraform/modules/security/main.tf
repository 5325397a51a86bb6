# Security groups of the processor, of the endpoints and of the brokers. One resource per rule, ranges instead of references to groups
# of the other side: references across a transit gateway need switches on the gateway and on both attachments.

locals {
  groups = {
    processor = { vpc_id = var.vpc_ids.a, description = "Millrace: endpoints, brokers, S3 for image layers and packages; nothing comes in" }
    endpoints = { vpc_id = var.vpc_ids.a, description = "Interface endpoints: HTTPS from the processor" }
    brokers   = { vpc_id = var.vpc_ids.b, description = "Kafka brokers: clients of side a, and one another" }
  }
}

resource "aws_security_group" "this" {
  #checkov:skip=CKV2_AWS_5:attached by other modules, which the scanner does not see
  for_each = local.groups

  name_prefix = "${var.name}-${each.key}-"
  description = each.value.description
  vpc_id      = each.value.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-${each.key}" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_egress_rule" "processor_to_endpoints" {
  security_group_id            = aws_security_group.this["processor"].id
  referenced_security_group_id = aws_security_group.this["endpoints"].id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  description                  = "HTTPS to the interface endpoints"
  tags                         = merge(var.tags, { Name = "endpoints" })
}

resource "aws_vpc_security_group_egress_rule" "processor_to_brokers" {
  for_each = var.broker_ports

  security_group_id = aws_security_group.this["processor"].id
  cidr_ipv4         = var.cidrs.b
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
  description       = "Kafka, ${each.key}"
  tags              = merge(var.tags, { Name = "brokers-${each.key}" })
}

resource "aws_vpc_security_group_egress_rule" "processor_to_s3" {
  security_group_id = aws_security_group.this["processor"].id
  prefix_list_id    = var.s3_prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  description       = "Image layers and packages through the S3 gateway"
  tags              = merge(var.tags, { Name = "s3" })
}

resource "aws_vpc_security_group_ingress_rule" "endpoints_from_processor" {
  security_group_id            = aws_security_group.this["endpoints"].id
  referenced_security_group_id = aws_security_group.this["processor"].id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  description                  = "HTTPS from the processor"
  tags                         = merge(var.tags, { Name = "processor" })
}

resource "aws_vpc_security_group_ingress_rule" "brokers_from_processor" {
  for_each = var.broker_ports

  security_group_id = aws_security_group.this["brokers"].id
  cidr_ipv4         = var.cidrs.a
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
  description       = "Kafka from side a, ${each.key}"
  tags              = merge(var.tags, { Name = "processor-${each.key}" })
}

resource "aws_vpc_security_group_ingress_rule" "brokers_from_brokers" {
  security_group_id            = aws_security_group.this["brokers"].id
  referenced_security_group_id = aws_security_group.this["brokers"].id
  ip_protocol                  = "-1"
  description                  = "Replication and controllers"
  tags                         = merge(var.tags, { Name = "brokers" })
}

resource "aws_vpc_security_group_egress_rule" "brokers_to_brokers" {
  security_group_id            = aws_security_group.this["brokers"].id
  referenced_security_group_id = aws_security_group.this["brokers"].id
  ip_protocol                  = "-1"
  description                  = "Replication and controllers"
  tags                         = merge(var.tags, { Name = "brokers" })
}
