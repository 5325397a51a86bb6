variable "name" {
  description = "Name of the queue, without .fifo."
  type        = string
  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,70}$", var.name))
    error_message = "name must have 1 to 70 letters, digits, - and _: SQS allows 80, and `-dead.fifo` is added."
  }
}

variable "account_id" {
  description = "Account of the queue."
  type        = string
  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be the 12 digits of an AWS account."
  }
}

variable "fifo" {
  description = "Make a FIFO queue, with high throughput per group."
  type        = bool
  default     = false
}

variable "visibility_timeout_seconds" {
  description = "Visibility timeout: above the slowest produce with its retries. Millrace extends leases at half of it."
  type        = number
  default     = 60
  validation {
    condition     = var.visibility_timeout_seconds >= 30 && var.visibility_timeout_seconds <= 43200
    error_message = "visibility_timeout_seconds must be 30 to 43200: below, a slow broker alone makes duplicates."
  }
}

variable "retention_seconds" {
  description = "How long a message waits to be received."
  type        = number
  default     = 345600
  validation {
    condition     = var.retention_seconds >= 3600 && var.retention_seconds < 1209600
    error_message = "retention_seconds must be 3600 to 1209599: less than the dead-letter queue's 14 days, since a moved message keeps its age."
  }
}

variable "receive_count_max" {
  description = "Receives after which SQS moves a message to the dead-letter queue."
  type        = number
  default     = 10
  validation {
    condition     = var.receive_count_max >= 3 && var.receive_count_max <= 1000
    error_message = "receive_count_max must be 3 to 1000: below 3, one restart and one retry lose a healthy message to the dead-letter queue."
  }
}

variable "data_key_reuse_seconds" {
  description = "How long SQS uses one data key before it asks KMS anew: longer is cheaper."
  type        = number
  default     = 3600
  validation {
    condition     = var.data_key_reuse_seconds >= 60 && var.data_key_reuse_seconds <= 86400
    error_message = "data_key_reuse_seconds must be 60 to 86400."
  }
}

variable "endpoint_id" {
  description = "The interface endpoint that messages must leave through."
  type        = string
}

variable "producer_arns" {
  description = "Principals that may send to the queue. Empty: IAM policies of this account decide."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for arn in var.producer_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(root|role/.+|user/.+)$", arn))])
    error_message = "producer_arns must be ARNs of roles, users or accounts, without wildcards."
  }
}

variable "break_glass_arns" {
  description = "Roles that may consume from elsewhere too, for emergencies."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}
