variable "name" {
  description = "Prefix of all names."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,29}$", var.name))
    error_message = "name must begin with a letter and have 2 to 30 of a-z, 0-9 and -."
  }
}

variable "region" {
  description = "Region of the metrics."
  type        = string
}

variable "account_id" {
  description = "Account of the alarms."
  type        = string
  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be the 12 digits of an AWS account."
  }
}

variable "queue_name" {
  description = "Name of the queue."
  type        = string
}

variable "dead_letter_name" {
  description = "Name of the dead-letter queue."
  type        = string
}

variable "oldest_message_age_seconds" {
  description = "Age of the oldest message that pages."
  type        = number
  default     = 300
  validation {
    condition     = var.oldest_message_age_seconds >= 60
    error_message = "oldest_message_age_seconds must be at least 60: SQS reports the age once a minute."
  }
}

variable "ecs" {
  description = "Service whose tasks are counted. Unset: none."
  type = object({
    cluster_name = string
    service_name = string
  })
  default = null
}

variable "autoscaling_group_name" {
  description = "Group whose machines are counted. Unset: none."
  type        = string
  default     = null
}

variable "transit_gateway_id" {
  description = "Transit gateway that is watched. Only used with transit_attachments."
  type        = string
  default     = null
}

variable "transit_attachments" {
  description = "Attachments that are watched, by side."
  type        = map(string)
  default     = {}
}

variable "sqs_endpoint_id" {
  description = "The SQS endpoint."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the SQS endpoint."
  type        = string
}

variable "has_log" {
  description = "Whether the appliance's log goes to CloudWatch, so that its lines can be counted. Plain machines keep theirs in the journal."
  type        = bool
}

variable "log_retention_days" {
  description = "Days that the appliance's log is kept."
  type        = number
  default     = 30
  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.log_retention_days)
    error_message = "log_retention_days must be a number of days that CloudWatch Logs knows, for example 30 or 365."
  }
}

variable "subscriptions" {
  description = "Who hears of alarms: protocol and endpoint by a stable name."
  type = map(object({
    protocol = string
    endpoint = string
  }))
  default = {}
  validation {
    condition     = alltrue([for subscription in values(var.subscriptions) : contains(["email", "email-json", "https", "sqs", "lambda", "sms"], subscription.protocol)])
    error_message = "subscriptions: protocol must be email, email-json, https, sqs, lambda or sms."
  }
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}
