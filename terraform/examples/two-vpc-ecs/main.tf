# Queue's side and Kafka's side in VPCs of their own; ECS on machines of its own; brokers with SCRAM over TLS.

module "millrace" {
  source = "../.."

  name     = "orders"
  topology = "two-vpc"
  sides = {
    a = {
      cidr       = "10.20.0.0/16"
      workload   = { "${var.region}a" = "10.20.0.0/20", "${var.region}b" = "10.20.16.0/20" }
      attachment = { "${var.region}a" = "10.20.255.0/28", "${var.region}b" = "10.20.255.16/28" }
    }
    b = {
      cidr       = "10.30.0.0/16"
      workload   = { "${var.region}a" = "10.30.0.0/20", "${var.region}b" = "10.30.16.0/20" }
      attachment = { "${var.region}a" = "10.30.255.0/28", "${var.region}b" = "10.30.255.16/28" }
    }
  }

  queue = {
    producer_arns    = [var.producer_role_arn]
    producers_in_vpc = []
  }
  pipeline = {
    topic             = "orders"
    dead_letter_topic = "orders-rejected"
    settings          = { "kafka.linger" = "\"5ms\"" }
  }
  kafka = {
    zone      = "kafka.internal"
    brokers   = { b1 = "10.30.0.11", b2 = "10.30.16.12" }
    port      = 9094
    protocol  = "sasl_ssl"
    mechanism = "SCRAM-SHA-512"
    username  = "millrace"
    secret    = var.kafka_secret
  }

  compute = "ecs"
  host = {
    instance_type  = "c7i.large"
    image_id       = var.image_id
    image          = var.image
    repository_arn = var.repository_arn
  }
  capacity = { min = 2, max = 8 }
  alarms = {
    oldest_message_age_seconds = 300
    subscriptions              = { operations = { protocol = "email", endpoint = var.alarm_email } }
  }
}
