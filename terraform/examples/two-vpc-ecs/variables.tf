variable "region" {
  description = "Region of the stack."
  type        = string
}

variable "image" {
  description = "Container image in ECR, by digest."
  type        = string
}

variable "repository_arn" {
  description = "ECR repository of the image."
  type        = string
}

variable "image_id" {
  description = "ECS-optimised Amazon Linux 2023 of the region."
  type        = string
}

variable "producer_role_arn" {
  description = "Role that sends to the queue."
  type        = string
}

variable "kafka_secret" {
  description = "Secret with Kafka's password, and its key."
  type        = object({ arn = string, kms_key_arn = string })
}

variable "alarm_email" {
  description = "Who hears of alarms."
  type        = string
}
