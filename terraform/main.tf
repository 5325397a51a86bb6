# Wires the modules: side a (the processor and the queue's endpoint) and side b (Kafka), in two VPCs joined by a transit gateway or in one.

data "aws_caller_identity" "this" {}

data "aws_region" "this" {}

module "observability" {
  source = "./modules/observability"

  name                       = var.name
  region                     = local.region
  account_id                 = local.account_id
  queue_name                 = module.queue.name
  dead_letter_name           = module.queue.dead_letter_name
  oldest_message_age_seconds = var.alarms.oldest_message_age_seconds
  ecs                        = local.ecs
  autoscaling_group_name     = local.autoscaling_group_name
  transit_gateway_id         = one(module.transit[*].transit_gateway_id)
  transit_attachments        = local.is_split ? module.transit[0].attachment_ids : {}
  sqs_endpoint_id            = module.endpoints.sqs_endpoint_id
  vpc_id                     = local.vpc_ids.a
  has_log                    = var.compute == "ecs"
  log_retention_days         = var.log_retention_days
  subscriptions              = var.alarms.subscriptions
  tags                       = local.tags
}

module "network" {
  source   = "./modules/network"
  for_each = local.networks

  name                    = each.value.name
  cidr                    = each.value.cidr
  subnets                 = each.value.subnets
  acl_rules               = each.value.acl_rules
  account_id              = local.account_id
  flow_log_retention_days = var.log_retention_days
  log_kms_key_arn         = module.observability.kms_key_arn
  tags                    = local.tags
}

module "transit" {
  source = "./modules/transit"
  count  = local.is_split ? 1 : 0

  name = var.name
  attachments = {
    a = {
      vpc_id       = module.network["a"].vpc_id
      cidr         = module.network["a"].cidr
      subnet_ids   = values(module.network["a"].subnet_ids["attachment"])
      route_tables = { a = module.network["a"].route_table_ids["a"] }
      learns_from  = ["b"]
    }
    b = {
      vpc_id       = module.network["b"].vpc_id
      cidr         = module.network["b"].cidr
      subnet_ids   = values(module.network["b"].subnet_ids["attachment"])
      route_tables = { b = module.network["b"].route_table_ids["b"] }
      learns_from  = ["a"]
    }
  }
  tags = local.tags
}

module "security" {
  source = "./modules/security"

  name              = var.name
  vpc_ids           = local.vpc_ids
  cidrs             = local.cidrs
  broker_ports      = { clients = local.broker_port }
  s3_prefix_list_id = module.endpoints.s3_prefix_list_id
  tags              = local.tags
}

module "queue" {
  source = "./modules/queue"

  name                       = coalesce(var.queue.name, var.name)
  account_id                 = local.account_id
  fifo                       = var.queue.fifo
  visibility_timeout_seconds = var.queue.visibility_timeout_seconds
  retention_seconds          = var.queue.retention_seconds
  receive_count_max          = var.queue.receive_count_max
  endpoint_id                = module.endpoints.sqs_endpoint_id
  producer_arns              = var.queue.producer_arns
  break_glass_arns           = var.queue.break_glass_arns
  tags                       = local.tags
}

module "endpoints" {
  source = "./modules/endpoints"

  name               = var.name
  region             = local.region
  account_id         = local.account_id
  vpc_id             = local.vpc_ids.a
  subnet_ids         = local.workload_subnets.a
  route_table_ids    = [local.network_a.route_table_ids["a"]]
  security_group_id  = module.security.group_ids["endpoints"]
  queue_arn          = module.queue.arn
  consumer_role_arn  = module.iam.task_role_arn
  producer_role_arns = var.queue.producers_in_vpc
  interface_services = local.interface_services
  readable_buckets   = var.host.package == null ? [] : [var.host.package.bucket]
  tags               = local.tags
}

module "dns" {
  source = "./modules/dns"
  count  = var.msk == null ? 1 : 0

  name    = var.name
  zone    = var.kafka.zone
  brokers = var.kafka.brokers
  vpc_ids = local.is_split ? local.vpc_ids : { a = local.vpc_ids.a }
  tags    = local.tags
}

module "kafka" {
  source = "./modules/kafka"
  count  = var.msk == null ? 0 : 1

  name               = var.name
  account_id         = local.account_id
  kafka_version      = var.msk.kafka_version
  instance_type      = var.msk.instance_type
  brokers_per_zone   = var.msk.brokers_per_zone
  volume_gib         = var.msk.volume_gib
  subnet_ids         = local.workload_subnets.b
  security_group_id  = module.security.group_ids["brokers"]
  log_kms_key_arn    = module.observability.kms_key_arn
  log_retention_days = var.log_retention_days
  tags               = local.tags
}

module "iam" {
  source = "./modules/iam"

  name                     = var.name
  region                   = local.region
  account_id               = local.account_id
  compute                  = var.compute
  queue_arn                = module.queue.arn
  queue_kms_key_arn        = module.queue.kms_key_arn
  cluster_name             = var.name
  repository_arn           = var.host.repository_arn
  log_group_arn            = module.observability.log_group_arn
  secrets                  = local.secret == null ? {} : { kafka = local.secret }
  package_object_arn       = var.host.package == null ? null : "arn:aws:s3:::${var.host.package.bucket}/${var.host.package.key}"
  oidc                     = local.oidc
  permissions_boundary_arn = var.permissions_boundary_arn
  tags                     = local.tags
}

module "compute_ecs" {
  source = "./modules/compute_ecs"
  count  = var.compute == "ecs" ? 1 : 0

  name                 = var.name
  region               = local.region
  image                = var.host.image
  image_id             = var.host.image_id
  instance_type        = var.host.instance_type
  memory_mib           = var.host.memory_mib
  capacity             = var.capacity
  command              = local.command
  environment          = { AWS_REGION = local.region }
  secrets              = local.has_login ? { KAFKA_PASSWORD = "${local.secret.arn}:password::" } : {}
  stop_timeout_seconds = var.drain_seconds + 20
  subnet_ids           = local.workload_subnets.a
  security_group_id    = module.security.group_ids["processor"]
  host_profile_name    = module.iam.host_profile_name
  task_role_arn        = module.iam.task_role_arn
  execution_role_arn   = module.iam.execution_role_arn
  log_group_name       = module.observability.log_group_name
  tags                 = local.tags
}

module "compute_eks" {
  source = "./modules/compute_eks"
  count  = var.compute == "eks" ? 1 : 0

  name                     = var.name
  account_id               = local.account_id
  kubernetes_version       = var.host.kubernetes_version
  instance_type            = var.host.instance_type
  capacity                 = var.capacity
  subnet_ids               = local.workload_subnets.a
  security_group_id        = module.security.group_ids["processor"]
  node_role_arn            = module.iam.host_role_arn
  permissions_boundary_arn = var.permissions_boundary_arn
  tags                     = local.tags
}

module "compute_ec2" {
  source = "./modules/compute_ec2"
  count  = var.compute == "ec2" ? 1 : 0

  name              = var.name
  region            = local.region
  image_id          = var.host.image_id
  instance_type     = var.host.instance_type
  capacity          = var.capacity
  package           = var.host.package
  configuration     = local.millrace_toml
  password_secret   = local.has_login ? local.secret.arn : null
  subnet_ids        = local.workload_subnets.a
  security_group_id = module.security.group_ids["processor"]
  host_profile_name = module.iam.host_profile_name
  tags              = local.tags
}

# In EKS the cluster's own means scale: nothing outside knows how many pods run.
module "scaling" {
  source = "./modules/scaling"
  count  = var.compute == "eks" ? 0 : 1

  name                   = var.name
  queue_name             = module.queue.name
  ecs                    = local.ecs
  autoscaling_group_name = var.compute == "ec2" ? module.compute_ec2[0].autoscaling_group_name : null
  capacity               = var.capacity
  backlog_per_pump       = var.backlog_per_pump
}
