locals {
  region     = data.aws_region.this.name
  account_id = data.aws_caller_identity.this.account_id
  tags       = merge({ Application = "millrace", Stack = var.name }, var.tags)
  is_split   = var.topology == "two-vpc"

  # --- network ---
  cidrs = { a = var.sides.a.cidr, b = var.sides.b.cidr }
  zones = {
    for side, settings in var.sides : side => {
      for zone, cidr in settings.workload : "${side}-${zone}" => { cidr = cidr, zone = zone, tier = side }
    }
  }
  attachments = {
    for side, settings in var.sides : side => {
      for zone, cidr in settings.attachment : "attachment-${zone}" => { cidr = cidr, zone = zone, tier = "attachment" }
    }
  }
  networks = { for key, network in {
    a    = { name = "${var.name}-a", cidr = var.sides.a.cidr, subnets = merge(local.zones.a, local.attachments.a), acl_rules = { a = local.acl_a, attachment = local.acl_open } }
    b    = { name = "${var.name}-b", cidr = var.sides.b.cidr, subnets = merge(local.zones.b, local.attachments.b), acl_rules = { b = local.acl_b, attachment = local.acl_open } }
    both = { name = var.name, cidr = coalesce(var.vpc_cidr, var.sides.a.cidr), subnets = merge(local.zones.a, local.zones.b), acl_rules = { a = local.acl_a, b = local.acl_b } }
  } : key => network if contains(local.is_split ? ["a", "b"] : ["both"], key) }

  network_a        = module.network[local.is_split ? "a" : "both"]
  network_b        = module.network[local.is_split ? "b" : "both"]
  vpc_ids          = { a = local.network_a.vpc_id, b = local.network_b.vpc_id }
  workload_subnets = { a = values(local.network_a.subnet_ids["a"]), b = values(local.network_b.subnet_ids["b"]) }

  # ACLs know no connections: each flow needs its way back. DNS of the VPC does not pass them.
  acl_a = merge({
    tls-out    = { egress = true, number = 100, cidr = "0.0.0.0/0", from_port = 443, to_port = 443 } # the S3 gateway has public addresses
    kafka-out  = { egress = true, number = 110, cidr = local.cidrs.b, from_port = local.broker_port, to_port = local.broker_port }
    answer-out = { egress = true, number = 120, cidr = local.cidrs.a, from_port = 1024, to_port = 65535 } # endpoints live in these subnets
    tls-in     = { egress = false, number = 100, cidr = local.cidrs.a, from_port = 443, to_port = 443 }
    answer-in  = { egress = false, number = 110, cidr = "0.0.0.0/0", from_port = 1024, to_port = 65535 } # of brokers, endpoints and S3
    }, var.compute != "eks" ? {} : {
    cluster-out = { egress = true, number = 130, cidr = local.cidrs.a, protocol = "-1" } # kubelet, DNS and pods among themselves
    cluster-in  = { egress = false, number = 130, cidr = local.cidrs.a, protocol = "-1" }
  })
  acl_b = {
    kafka-in   = { egress = false, number = 100, cidr = local.cidrs.a, from_port = local.broker_port, to_port = local.broker_port }
    inside-in  = { egress = false, number = 110, cidr = local.cidrs.b, protocol = "-1" }
    answer-out = { egress = true, number = 100, cidr = local.cidrs.a, from_port = 1024, to_port = 65535 }
    inside-out = { egress = true, number = 110, cidr = local.cidrs.b, protocol = "-1" }
  }
  # Subnets of nothing but the attachment: the workload's own ACLs decide.
  acl_open = {
    all-out = { egress = true, number = 100, cidr = "0.0.0.0/0", protocol = "-1" }
    all-in  = { egress = false, number = 100, cidr = "0.0.0.0/0", protocol = "-1" }
  }

  # Private subnets have no other way out. Each costs by the hour and zone: only what starting and running needs.
  interface_services = toset(concat({
    ecs = ["ecs", "ecs-agent", "ecs-telemetry", "ecr.api", "ecr.dkr", "logs"]
    eks = ["ec2", "ecr.api", "ecr.dkr", "eks", "logs", "sts"]
    ec2 = []
  }[var.compute], local.has_login ? ["secretsmanager"] : [], var.extra_endpoints))

  # --- Kafka ---
  broker_port = var.msk == null ? var.kafka.port : 9096 # MSK's port of SCRAM
  brokers     = var.msk == null ? [for host, name in module.dns[0].broker_names : "${name}:${local.broker_port}"] : module.kafka[0].bootstrap_brokers
  protocol    = var.msk == null ? var.kafka.protocol : "sasl_ssl"
  mechanism   = var.msk == null ? var.kafka.mechanism : "SCRAM-SHA-512"
  has_login   = startswith(local.protocol, "sasl")
  secret      = var.msk == null ? var.kafka.secret : module.kafka[0].secret

  # --- the appliance's configuration: values in TOML, below [[pipeline]] ---
  settings = merge(
    { "route.topic" = jsonencode(var.pipeline.topic) },
    { "queue.visibility_timeout" = jsonencode("${var.queue.visibility_timeout_seconds}s") },
    { "kafka.security.protocol" = jsonencode(local.protocol) },
    local.has_login ? {
      "kafka.security.mechanism" = jsonencode(local.mechanism)
      "kafka.security.username"  = jsonencode(var.kafka.username)
      "kafka.security.password"  = var.compute == "ec2" ? "{ file = \"/etc/millrace/kafka-password\" }" : "{ env = \"KAFKA_PASSWORD\" }"
    } : {},
    var.pipeline.dead_letter_topic == null ? {} : { "dead_letter.topic" = jsonencode(var.pipeline.dead_letter_topic) },
    var.pipeline.settings,
  )
  drain = jsonencode("${var.drain_seconds}s")
  command = concat(
    ["run", "--queue", module.queue.url, "--brokers", join(",", local.brokers), "--topic", var.pipeline.topic, "--set", "drain.deadline=${local.drain}"],
    flatten([for key in sort(keys(local.settings)) : ["--set", "pipeline.main.${key}=${local.settings[key]}"] if key != "route.topic"]),
  )
  millrace_toml = <<-TOML
    # Written by Terraform.
    [drain]
    deadline = ${local.drain}

    [[pipeline]]
    name = "main"
    queue.url = ${jsonencode(module.queue.url)}
    queue.region = ${jsonencode(local.region)}
    kafka.brokers = ${jsonencode(local.brokers)}
    ${join("\n", [for key in sort(keys(local.settings)) : "${key} = ${local.settings[key]}"])}
  TOML

  # --- what runs it ---
  ecs                    = var.compute == "ecs" ? { cluster_name = module.compute_ecs[0].cluster_name, service_name = module.compute_ecs[0].service_name } : null
  autoscaling_group_name = var.compute == "ec2" ? module.compute_ec2[0].autoscaling_group_name : null
  oidc = var.compute != "eks" ? null : merge(module.compute_eks[0].oidc, {
    namespace = var.host.namespace
    account   = var.host.service_account
  })
}
