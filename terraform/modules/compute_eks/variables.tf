variable "name" {
  description = "Name of the cluster."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,29}$", var.name))
    error_message = "name must begin with a letter and have 2 to 30 of a-z, 0-9 and -."
  }
}

variable "account_id" {
  description = "Account of the cluster."
  type        = string
}

variable "kubernetes_version" {
  description = "Version of Kubernetes. From 1.33 on, Amazon Linux 2023's nodes run Linux 6.12."
  type        = string
  default     = "1.33"
  validation {
    condition     = try(tonumber(split(".", var.kubernetes_version)[1]) >= 33 && split(".", var.kubernetes_version)[0] == "1", false)
    error_message = "kubernetes_version must be 1.33 or newer, for example 1.33: nodes of older versions run a kernel on which processes with io_uring could hang."
  }
}

variable "ami_type" {
  description = "Kind of the nodes' image."
  type        = string
  default     = "AL2023_x86_64_STANDARD"
  validation {
    condition     = contains(["AL2023_x86_64_STANDARD", "AL2023_ARM_64_STANDARD"], var.ami_type)
    error_message = "ami_type must be AL2023_x86_64_STANDARD or AL2023_ARM_64_STANDARD: the preparation is a shell script, which Bottlerocket does not run."
  }
}

variable "instance_type" {
  description = "Type of the nodes; docs/sizing.md helps to choose."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9-]+[.][a-z0-9-]+$", var.instance_type)) && !can(regex("^t[0-9]", var.instance_type))
    error_message = "instance_type must be a type such as c7i.xlarge; burstable ones (t3, t4g) run out of CPU credit, since the pump never rests."
  }
}

variable "capacity" {
  description = "Fewest and most nodes."
  type = object({
    min = number
    max = number
  })
  validation {
    condition     = var.capacity.min >= 1 && var.capacity.max >= var.capacity.min && var.capacity.max <= 100
    error_message = "capacity needs 1 <= min <= max <= 100."
  }
}

variable "subnet_ids" {
  description = "Workload subnets of side a, in two zones at least."
  type        = list(string)
  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids needs subnets in two zones at least: EKS asks for them."
  }
}

variable "security_group_id" {
  description = "Security group of the processor."
  type        = string
}

variable "node_role_arn" {
  description = "Role of the nodes."
  type        = string
}

variable "permissions_boundary_arn" {
  description = "Boundary of the cluster's role, where the account asks for one."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}
