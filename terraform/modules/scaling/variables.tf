variable "name" {
  description = "Prefix of the policy's name."
  type        = string
}

variable "queue_name" {
  description = "Queue whose backlog counts."
  type        = string
}

variable "ecs" {
  description = "Service to scale. Give this or autoscaling_group_name."
  type = object({
    cluster_name = string
    service_name = string
  })
  default = null
}

variable "autoscaling_group_name" {
  description = "Group of plain machines to scale. Give this or ecs."
  type        = string
  default     = null
}

variable "capacity" {
  description = "Fewest and most pumps."
  type = object({
    min = number
    max = number
  })
  validation {
    condition     = var.capacity.min >= 1 && var.capacity.max >= var.capacity.min
    error_message = "capacity needs 1 <= min <= max."
  }
}

variable "backlog_per_pump" {
  description = "Visible messages per pump that are held: the wait you accept times the messages a second of one pump."
  type        = number
  validation {
    condition     = var.backlog_per_pump >= 100
    error_message = "backlog_per_pump must be at least 100: a pump moves thousands of messages a second, and a smaller target makes scaling restless."
  }
}
