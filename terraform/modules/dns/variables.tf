variable "name" {
  description = "Prefix of the names."
  type        = string
}

variable "zone" {
  description = "Domain of the brokers, for example kafka.internal."
  type        = string
  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?[.])+[a-z]{2,}$", var.zone))
    error_message = "zone must be a domain name of at least two labels, without a dot at its end, for example kafka.internal."
  }
}

variable "vpc_ids" {
  description = "VPCs that know the zone, by side. Side a must be among them."
  type        = map(string)
  validation {
    condition     = contains(keys(var.vpc_ids), "a")
    error_message = "vpc_ids must have the key a: the processor asks for the brokers' names."
  }
}

variable "brokers" {
  description = "Private addresses of the brokers by host name."
  type        = map(string)
  validation {
    condition     = alltrue([for address in values(var.brokers) : can(cidrhost("${address}/32", 0))])
    error_message = "brokers must give an IPv4 address for each host name."
  }
}

variable "forward" {
  description = "Domains that another DNS answers for, its addresses, and where the resolver endpoint lives (two subnets at least). Unset: none."
  type = object({
    domains            = set(string)
    target_ips         = list(string)
    subnet_ids         = list(string)
    security_group_ids = list(string)
  })
  default = null
  validation {
    condition     = var.forward == null || try(length(var.forward.subnet_ids) >= 2 && length(var.forward.target_ips) >= 1, false)
    error_message = "forward needs at least two subnet_ids (AWS asks for two addresses) and one of target_ips."
  }
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}
