variable "name" {
  description = "Name of the cluster."
  type        = string
  validation {
    condition     = can(regex("^[A-Za-z0-9-]{1,64}$", var.name))
    error_message = "name must have 1 to 64 letters, digits and -."
  }
}

variable "account_id" {
  description = "Account of the cluster."
  type        = string
}

variable "kafka_version" {
  description = "Version of Kafka that MSK offers."
  type        = string
  default     = "3.8.x"
}

variable "instance_type" {
  description = "Type of the brokers."
  type        = string
  default     = "kafka.m7g.large"
  validation {
    condition     = can(regex("^kafka[.][a-z0-9]+[.][a-z0-9]+$", var.instance_type)) && !startswith(var.instance_type, "kafka.t3")
    error_message = "instance_type must be a broker type such as kafka.m7g.large; burstable ones (kafka.t3) run out of credit under steady load."
  }
}

variable "subnet_ids" {
  description = "Subnets of side b, one per zone: two or three."
  type        = list(string)
  validation {
    condition     = contains([2, 3], length(var.subnet_ids))
    error_message = "subnet_ids must be two or three: MSK spreads brokers over that many zones."
  }
}

variable "brokers_per_zone" {
  description = "Brokers in each zone."
  type        = number
  default     = 1
  validation {
    condition     = var.brokers_per_zone >= 1 && var.brokers_per_zone <= 10
    error_message = "brokers_per_zone must be 1 to 10."
  }
}

variable "volume_gib" {
  description = "Disk of each broker, GiB."
  type        = number
  default     = 500
  validation {
    condition     = var.volume_gib >= 10 && var.volume_gib <= 16384
    error_message = "volume_gib must be 10 to 16384."
  }
}

variable "security_group_id" {
  description = "Security group of the brokers."
  type        = string
}

variable "log_retention_days" {
  description = "Days that the brokers' log is kept."
  type        = number
  default     = 30
  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.log_retention_days)
    error_message = "log_retention_days must be a number of days that CloudWatch Logs knows, for example 30 or 365."
  }
}

variable "log_kms_key_arn" {
  description = "Key that encrypts the brokers' log."
  type        = string
}

variable "timeout" {
  description = "Longest wait for a change of the cluster."
  type        = string
  default     = "90m"
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}
