variable "name" {
  description = "Name of the stack: prefix of all names, and the queue's name unless queue.name says otherwise."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,24}$", var.name))
    error_message = "name must begin with a letter and have 2 to 25 of a-z, 0-9 and -: names made from it must fit AWS's limits."
  }
}

variable "topology" {
  description = "two-vpc: queue's side and Kafka's side in VPCs of their own, joined by a transit gateway. single-vpc: both in one."
  type        = string
  validation {
    condition     = contains(["two-vpc", "single-vpc"], var.topology)
    error_message = "topology must be two-vpc or single-vpc."
  }
}

variable "vpc_cidr" {
  description = "Range of the one VPC. Only used, and then needed, with single-vpc."
  type        = string
  default     = null
  validation {
    condition     = (var.topology == "single-vpc") == (var.vpc_cidr != null)
    error_message = "vpc_cidr must be given with topology single-vpc, and only with it: with two-vpc each side's cidr is its VPC's."
  }
}

variable "sides" {
  description = "Side a has the processor and the SQS endpoint, side b has Kafka: the range of each, and ranges of the subnets by availability zone. attachment: /28 subnets of the transit gateway, in every zone of the workload; only with two-vpc."
  type = object({
    a = object({
      cidr       = string
      workload   = map(string)
      attachment = optional(map(string), {})
    })
    b = object({
      cidr       = string
      workload   = map(string)
      attachment = optional(map(string), {})
    })
  })
  validation {
    condition     = alltrue(flatten([for side in values(var.sides) : [can(cidrhost(side.cidr, 0)), [for cidr in concat(values(side.workload), values(side.attachment)) : can(cidrhost(cidr, 0))]]]))
    error_message = "sides: every cidr must be an IPv4 range, for example 10.20.0.0/16."
  }
  validation {
    condition     = alltrue([for side in values(var.sides) : length(side.workload) >= 2])
    error_message = "sides: workload needs two availability zones at least on each side; one alone is no place for a queue that pages somebody."
  }
  validation {
    condition = alltrue([
      for side in values(var.sides) : var.topology == "two-vpc" ? keys(side.attachment) == keys(side.workload) : length(side.attachment) == 0
    ])
    error_message = "sides: with two-vpc, attachment needs a subnet in exactly the zones of workload (traffic of a zone without one is dropped); with single-vpc there is nothing to attach."
  }
  validation {
    condition     = var.sides.a.cidr != var.sides.b.cidr
    error_message = "sides: a and b have the same cidr; give each a range of its own."
  }
}

variable "queue" {
  description = "The queue: name, kind, visibility timeout, retention, receives before the dead-letter queue; who sends (producer_arns by the queue's policy, producers_in_vpc through the endpoint), who may consume from elsewhere in an emergency."
  type = object({
    name                       = optional(string)
    fifo                       = optional(bool, false)
    visibility_timeout_seconds = optional(number, 60)
    retention_seconds          = optional(number, 345600)
    receive_count_max          = optional(number, 10)
    producer_arns              = optional(list(string), [])
    producers_in_vpc           = optional(list(string), [])
    break_glass_arns           = optional(list(string), [])
  })
  default = {}
}

variable "pipeline" {
  description = "Topic, topic of rejected messages, and any other setting below [[pipeline]]: key to a value in TOML, for example { \"kafka.linger\" = \"\\\"5ms\\\"\" }."
  type = object({
    topic             = string
    dead_letter_topic = optional(string)
    settings          = optional(map(string), {})
  })
  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{1,249}$", var.pipeline.topic))
    error_message = "pipeline.topic must be 1 to 249 letters, digits, . _ and -: what Kafka allows. For a template, set route.topic in pipeline.settings on your own file."
  }
  validation {
    condition     = alltrue([for key in keys(var.pipeline.settings) : can(regex("^[a-z_]+([.][a-z_0-9\"]+)+$", key))])
    error_message = "pipeline.settings: keys must be like kafka.linger, below [[pipeline]]; `millrace config default` lists them."
  }
}

variable "kafka" {
  description = "Your own brokers: private zone of their names, address by host name, port, and how to log in (secret: a Secrets Manager secret with the key `password`, and its KMS key). Unused with msk, except username."
  type = object({
    zone      = optional(string, "kafka.internal")
    brokers   = optional(map(string), {})
    port      = optional(number, 9092)
    protocol  = optional(string, "plaintext")
    mechanism = optional(string)
    username  = optional(string)
    secret = optional(object({
      arn         = string
      kms_key_arn = string
    }))
  })
  default = {}
  validation {
    condition     = contains(["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"], var.kafka.protocol)
    error_message = "kafka.protocol must be plaintext, ssl, sasl_plaintext or sasl_ssl."
  }
  validation {
    condition     = !startswith(var.kafka.protocol, "sasl") || (contains(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], coalesce(var.kafka.mechanism, "none")) && var.kafka.username != null && var.kafka.secret != null)
    error_message = "kafka: with a SASL protocol, mechanism (PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512), username and secret are needed."
  }
  validation {
    condition     = (var.msk == null) == (length(var.kafka.brokers) > 0)
    error_message = "kafka.brokers must name your brokers, or msk be set, but not both."
  }
  validation {
    condition     = var.msk == null || var.kafka.username != null
    error_message = "kafka.username must be given with msk: the SCRAM user whose password you put into the secret."
  }
  validation {
    condition     = var.kafka.port >= 1024 && var.kafka.port <= 65535
    error_message = "kafka.port must be 1024 to 65535."
  }
}

variable "msk" {
  description = "Make an Amazon MSK cluster on side b. kafka.username then names the SCRAM user."
  type = object({
    kafka_version    = optional(string, "3.8.x")
    instance_type    = optional(string, "kafka.m7g.large")
    brokers_per_zone = optional(number, 1)
    volume_gib       = optional(number, 500)
  })
  default = null
}

variable "compute" {
  description = "What runs the appliance: ecs (on EC2 machines of its own), eks, or ec2 (systemd on plain machines)."
  type        = string
  validation {
    condition     = contains(["ecs", "eks", "ec2"], var.compute)
    error_message = "compute must be ecs, eks or ec2. Fargate is none of them: it forbids io_uring and cannot lift the limit of locked memory."
  }
}

variable "host" {
  description = "Machines and what they run: type; image_id (ecs, ec2: the machine image); image and repository_arn (ecs: the container image by digest, and its ECR repository); memory_mib (ecs); package (ec2: object in S3); kubernetes_version, namespace and service_account (eks)."
  type = object({
    instance_type  = string
    image_id       = optional(string)
    image          = optional(string)
    repository_arn = optional(string)
    memory_mib     = optional(number, 1024)
    package = optional(object({
      bucket = string
      key    = string
      sha256 = string
    }))
    kubernetes_version = optional(string, "1.33")
    namespace          = optional(string, "millrace")
    service_account    = optional(string, "millrace")
  })
  validation {
    condition     = var.compute == "eks" || var.host.image_id != null
    error_message = "host.image_id must be given with ecs and ec2."
  }
  validation {
    condition     = var.compute != "ecs" || (var.host.image != null && var.host.repository_arn != null)
    error_message = "host.image and host.repository_arn must be given with ecs: private subnets reach no other registry than ECR."
  }
}

variable "capacity" {
  description = "Fewest and most pumps, each on a machine of its own."
  type = object({
    min = number
    max = number
  })
  validation {
    condition     = var.capacity.min >= 1 && var.capacity.max >= var.capacity.min && var.capacity.max <= 100
    error_message = "capacity needs 1 <= min <= max <= 100."
  }
}

variable "backlog_per_pump" {
  description = "Visible messages per pump that scaling holds: the wait you accept times the messages a second of one pump."
  type        = number
  default     = 100000
  validation {
    condition     = var.backlog_per_pump >= 100
    error_message = "backlog_per_pump must be at least 100: a pump moves thousands of messages a second, and a smaller target makes scaling restless."
  }
}

variable "drain_seconds" {
  description = "Time to finish what is held when a pump is stopped."
  type        = number
  default     = 25
  validation {
    condition     = var.drain_seconds >= 21 && var.drain_seconds <= 100
    error_message = "drain_seconds must be 21 to 100: a receive in flight may take 20 s, and ECS waits at most 120 s before it kills."
  }
}

variable "alarms" {
  description = "Age of the oldest message that pages, and who hears of it: protocol and endpoint by a stable name."
  type = object({
    oldest_message_age_seconds = optional(number, 300)
    subscriptions = optional(map(object({
      protocol = string
      endpoint = string
    })), {})
  })
  default = {}
}

variable "extra_endpoints" {
  description = "Further interface endpoints of side a by the service's name, for example ssm."
  type        = list(string)
  default     = []
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 30
}

variable "permissions_boundary_arn" {
  description = "Boundary of all roles, where the account asks for one."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}
