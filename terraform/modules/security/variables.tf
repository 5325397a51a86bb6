variable "name" {
  description = "Prefix of the groups' names."
  type        = string
}

variable "vpc_ids" {
  description = "VPC of each side: a has the processor and the endpoints, b has Kafka. The same one in a single VPC."
  type = object({
    a = string
    b = string
  })
}

variable "cidrs" {
  description = "Range of each side."
  type = object({
    a = string
    b = string
  })
  validation {
    condition     = alltrue([for cidr in values(var.cidrs) : can(cidrhost(cidr, 0)) && !startswith(cidr, "0.0.0.0")])
    error_message = "cidrs must be IPv4 ranges of the sides, never 0.0.0.0/0."
  }
}

variable "broker_ports" {
  description = "Ports of the brokers' listeners by the listener's name."
  type        = map(number)
  validation {
    condition     = length(var.broker_ports) > 0 && alltrue([for port in values(var.broker_ports) : port >= 1024 && port <= 65535])
    error_message = "broker_ports must name at least one listener, with a port from 1024 to 65535."
  }
}

variable "s3_prefix_list_id" {
  description = "Prefix list of the S3 gateway endpoint."
  type        = string
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}
