variable "name" {
  description = "Name of cluster, service, task and machines."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,29}$", var.name)) && !startswith(var.name, "aws") && !startswith(var.name, "ecs") && !startswith(var.name, "fargate")
    error_message = "name must begin with a letter, have 2 to 30 of a-z, 0-9 and -, and not begin with aws, ecs or fargate: a capacity provider may not."
  }
}

variable "region" {
  description = "Region of the log group."
  type        = string
}

variable "image" {
  description = "Image by digest."
  type        = string
  validation {
    condition     = can(regex("^[^@\\s]+@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image must name its digest, as in REPOSITORY@sha256:...: a tag can come to mean another program."
  }
}

variable "image_id" {
  description = "Amazon machine image of the machines, ECS-optimised Amazon Linux 2023."
  type        = string
  validation {
    condition     = can(regex("^ami-[0-9a-f]{8,17}$", var.image_id))
    error_message = "image_id must be an image such as ami-0123456789abcdef0; take the ECS-optimised one of your region from the SSM parameter /aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id."
  }
}

variable "instance_type" {
  description = "Type of the machines; docs/sizing.md helps to choose."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9-]+[.][a-z0-9-]+$", var.instance_type)) && !can(regex("^t[0-9]", var.instance_type))
    error_message = "instance_type must be a type such as c7i.large; burstable ones (t3, t4g) run out of CPU credit, since the pump never rests."
  }
}

variable "memory_mib" {
  description = "Memory of a task. The data plane takes about 64 MiB, and up to its budget for each shard and pipeline."
  type        = number
  validation {
    condition     = var.memory_mib >= 256
    error_message = "memory_mib must be at least 256: the budget of one pipeline on one shard alone is 64 MiB."
  }
}

variable "capacity" {
  description = "Fewest and most tasks, each with a machine of its own."
  type = object({
    min = number
    max = number
  })
  validation {
    condition     = var.capacity.min >= 1 && var.capacity.max >= var.capacity.min && var.capacity.max <= 100
    error_message = "capacity needs 1 <= min <= max <= 100: with no task at all the backlog per task has no meaning."
  }
}

variable "command" {
  description = "Arguments of millrace."
  type        = list(string)
}

variable "environment" {
  description = "Environment of the task. Nothing secret."
  type        = map(string)
  default     = {}
}

variable "secrets" {
  description = "Environment that ECS fills from Secrets Manager: name to ARN, with the key of the JSON where there is one."
  type        = map(string)
  default     = {}
}

variable "stop_timeout_seconds" {
  description = "Time to drain before ECS kills the task; more than drain.deadline."
  type        = number
  default     = 60
  validation {
    condition     = var.stop_timeout_seconds >= 10 && var.stop_timeout_seconds <= 120
    error_message = "stop_timeout_seconds must be 10 to 120: ECS allows no more."
  }
}

variable "subnet_ids" {
  description = "Workload subnets of side a."
  type        = list(string)
}

variable "security_group_id" {
  description = "Security group of tasks and machines."
  type        = string
}

variable "host_profile_name" {
  description = "Instance profile of the machines."
  type        = string
}

variable "task_role_arn" {
  description = "Role of the appliance."
  type        = string
}

variable "execution_role_arn" {
  description = "Role that starts the task."
  type        = string
}

variable "log_group_name" {
  description = "Log group of the appliance."
  type        = string
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}
