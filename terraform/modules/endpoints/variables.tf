variable "name" {
  description = "Prefix of the endpoints' names."
  type        = string
}

variable "region" {
  description = "Region of the services."
  type        = string
  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be a region's code, for example eu-west-1."
  }
}

variable "account_id" {
  description = "Account whose principals may use the endpoints."
  type        = string
  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be the 12 digits of an AWS account."
  }
}

variable "vpc_id" {
  description = "VPC of side a."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets that get an address of each interface endpoint, one per zone."
  type        = list(string)
}

variable "route_table_ids" {
  description = "Route tables that get the route to S3."
  type        = list(string)
}

variable "security_group_id" {
  description = "Security group of the interface endpoints."
  type        = string
}

variable "queue_arn" {
  description = "The one queue that can be reached through the SQS endpoint."
  type        = string
  validation {
    condition     = can(regex("^arn:[a-z-]+:sqs:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,80}([.]fifo)?$", var.queue_arn))
    error_message = "queue_arn must be the ARN of one queue, without wildcards."
  }
}

variable "consumer_role_arn" {
  description = "Role of the processor: the only one that may consume through the endpoint."
  type        = string
}

variable "producer_role_arns" {
  description = "Roles that send to the queue through this endpoint too. Empty when producers are elsewhere."
  type        = list(string)
  default     = []
}

variable "interface_services" {
  description = "Further interface endpoints, by the service's name in the region, for example logs or ecr.api."
  type        = set(string)
  default     = []
  validation {
    condition     = !contains(var.interface_services, "sqs")
    error_message = "interface_services must not have sqs: it has an endpoint with a policy of its own."
  }
}

variable "readable_buckets" {
  description = "Own buckets that may be read through the S3 gateway, for example the one of the packages."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}
