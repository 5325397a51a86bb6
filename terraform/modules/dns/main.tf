# A private zone with the brokers' names, known in both VPCs, and, where the names live in another DNS, a resolver endpoint that asks it.

resource "aws_route53_zone" "this" {
  name    = var.zone
  comment = "Names of Kafka's brokers for the processor"
  tags    = var.tags

  # The first VPC makes the zone private; the others are resources of their own, so that they can live in other accounts.
  vpc {
    vpc_id = var.vpc_ids[local.first]
  }

  lifecycle {
    ignore_changes = [vpc] # the further associations would show up here as drift
  }
}

locals {
  first = sort(keys(var.vpc_ids))[0]
}

resource "aws_route53_zone_association" "this" {
  for_each = { for side, id in var.vpc_ids : side => id if side != local.first }

  zone_id = aws_route53_zone.this.zone_id
  vpc_id  = each.value
}

resource "aws_route53_record" "broker" {
  #checkov:skip=CKV2_AWS_23:brokers are machines outside of this stack
  for_each = var.brokers

  zone_id = aws_route53_zone.this.zone_id
  name    = "${each.key}.${var.zone}"
  type    = "A"
  ttl     = 60
  records = [each.value]
}

resource "aws_route53_resolver_endpoint" "out" {
  count = var.forward == null ? 0 : 1

  name               = "${var.name}-out"
  direction          = "OUTBOUND"
  security_group_ids = var.forward.security_group_ids
  tags               = var.tags

  dynamic "ip_address" {
    for_each = var.forward.subnet_ids
    content {
      subnet_id = ip_address.value
    }
  }
}

resource "aws_route53_resolver_rule" "forward" {
  for_each = var.forward == null ? {} : { for domain in var.forward.domains : domain => domain }

  name                 = "${var.name}-${replace(each.key, ".", "-")}"
  domain_name          = each.key
  rule_type            = "FORWARD"
  resolver_endpoint_id = aws_route53_resolver_endpoint.out[0].id
  tags                 = var.tags

  dynamic "target_ip" {
    for_each = var.forward.target_ips
    content {
      ip = target_ip.value
    }
  }
}

resource "aws_route53_resolver_rule_association" "forward" {
  for_each = aws_route53_resolver_rule.forward

  name             = "${var.name}-${replace(each.key, ".", "-")}"
  resolver_rule_id = each.value.id
  vpc_id           = var.vpc_ids.a
}
