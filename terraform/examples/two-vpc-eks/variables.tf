variable "region" {
  description = "Region of the stack."
  type        = string
}

variable "producer_role_arn" {
  description = "Role of side a that sends to the queue through the endpoint."
  type        = string
}
