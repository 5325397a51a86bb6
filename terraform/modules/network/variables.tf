variable "name" {
  description = "Name of the VPC and prefix of all names in it."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,29}$", var.name))
    error_message = "name must begin with a letter and have 2 to 30 of a-z, 0-9 and -: AWS limits names made from it to 64."
  }
}

variable "cidr" {
  description = "IPv4 range of the VPC, /16 to /28."
  type        = string
  validation {
    condition     = can(cidrhost(var.cidr, 0)) && try(tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 28, false)
    error_message = "cidr must be an IPv4 range between /16 and /28, for example 10.20.0.0/16."
  }
}

variable "subnets" {
  description = "Subnets by a stable name: range, availability zone, and the tier whose route table and ACL they use."
  type = map(object({
    cidr = string
    zone = string
    tier = string
  }))
  validation {
    condition     = length(var.subnets) > 0 && alltrue([for subnet in var.subnets : can(cidrhost(subnet.cidr, 0))])
    error_message = "subnets must have at least one entry, and each cidr must be an IPv4 range."
  }
}

variable "acl_rules" {
  description = "Allow rules of the network ACLs: by tier, then by a name that says what the rule is for. What no rule allows is refused, in both directions."
  type = map(map(object({
    egress    = bool
    number    = number
    protocol  = optional(string, "tcp")
    cidr      = string
    from_port = optional(number, 0)
    to_port   = optional(number, 0)
  })))
  validation {
    condition = alltrue([
      for rules in var.acl_rules : length(distinct([for rule in rules : "${rule.egress}/${rule.number}"])) == length(rules)
    ])
    error_message = "acl_rules: two rules of one tier and direction have the same number; give each its own."
  }
}

variable "account_id" {
  description = "Account that the flow logs' role may be assumed for."
  type        = string
  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be the 12 digits of an AWS account."
  }
}

variable "flow_log_retention_days" {
  description = "Days that flow logs are kept."
  type        = number
  default     = 30
  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.flow_log_retention_days)
    error_message = "flow_log_retention_days must be a number of days that CloudWatch Logs knows, for example 30 or 365."
  }
}

variable "log_kms_key_arn" {
  description = "Key that encrypts the flow logs."
  type        = string
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}
