# A transit gateway without default tables: a route table per attached side, which learns only the sides it names.

locals {
  propagations = merge([
    for side, attachment in var.attachments : { for from in attachment.learns_from : "${side}<-${from}" => { side = side, from = from } }
  ]...)
  # Each workload route table learns the way to every range of the sides that its own side learns from.
  routes = merge(flatten([
    for side, attachment in var.attachments : [
      for from in attachment.learns_from : [
        for table, id in attachment.route_tables : { "${side}/${table}->${from}" = { table_id = id, cidr = var.attachments[from].cidr } }
      ]
    ]
  ])...)
}

resource "aws_ec2_transit_gateway" "this" {
  description                     = "${var.name}: joins the queue's side and Kafka's side"
  default_route_table_association = "disable"
  default_route_table_propagation = "disable"
  auto_accept_shared_attachments  = "disable"
  dns_support                     = "enable"
  vpn_ecmp_support                = "disable"
  tags                            = merge(var.tags, { Name = var.name })
}

resource "aws_ec2_transit_gateway_vpc_attachment" "this" {
  for_each = var.attachments

  transit_gateway_id                              = aws_ec2_transit_gateway.this.id
  vpc_id                                          = each.value.vpc_id
  subnet_ids                                      = each.value.subnet_ids
  dns_support                                     = "enable"
  transit_gateway_default_route_table_association = false
  transit_gateway_default_route_table_propagation = false
  tags                                            = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_ec2_transit_gateway_route_table" "this" {
  for_each = var.attachments

  transit_gateway_id = aws_ec2_transit_gateway.this.id
  tags               = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_ec2_transit_gateway_route_table_association" "this" {
  for_each = var.attachments

  transit_gateway_attachment_id  = aws_ec2_transit_gateway_vpc_attachment.this[each.key].id
  transit_gateway_route_table_id = aws_ec2_transit_gateway_route_table.this[each.key].id
}

resource "aws_ec2_transit_gateway_route_table_propagation" "this" {
  for_each = local.propagations

  transit_gateway_attachment_id  = aws_ec2_transit_gateway_vpc_attachment.this[each.value.from].id
  transit_gateway_route_table_id = aws_ec2_transit_gateway_route_table.this[each.value.side].id
}

resource "aws_route" "this" {
  for_each = local.routes

  route_table_id         = each.value.table_id
  destination_cidr_block = each.value.cidr
  transit_gateway_id     = aws_ec2_transit_gateway.this.id

  # AWS refuses the route before the VPC is attached.
  depends_on = [aws_ec2_transit_gateway_vpc_attachment.this]
}
