variable "name" {
  description = "Prefix of the roles' names."
  type        = string
}

variable "region" {
  description = "Region of queue and cluster."
  type        = string
}

variable "account_id" {
  description = "Account of queue and cluster."
  type        = string
  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be the 12 digits of an AWS account."
  }
}

variable "compute" {
  description = "What runs the appliance: ecs, eks or ec2."
  type        = string
  validation {
    condition     = contains(["ecs", "eks", "ec2"], var.compute)
    error_message = "compute must be ecs, eks or ec2. Fargate is none of them: it forbids io_uring and cannot lift the limit of locked memory."
  }
}

variable "queue_arn" {
  description = "The one queue that is consumed."
  type        = string
  validation {
    condition     = can(regex("^arn:[a-z-]+:sqs:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,80}([.]fifo)?$", var.queue_arn))
    error_message = "queue_arn must be the ARN of one queue, without wildcards."
  }
}

variable "queue_kms_key_arn" {
  description = "Key of the queue."
  type        = string
  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.queue_kms_key_arn))
    error_message = "queue_kms_key_arn must be the ARN of one key, without wildcards."
  }
}

variable "cluster_name" {
  description = "ECS cluster that the machines join. Only used with ecs."
  type        = string
  default     = "none"
}

variable "repository_arn" {
  description = "ECR repository of the image. Unset: the image is public."
  type        = string
  default     = null
}

variable "log_group_arn" {
  description = "Log group of the appliance. Only used with ecs."
  type        = string
  default     = null
}

variable "secrets" {
  description = "Secrets of the Kafka connection by name, each with the key that encrypts it."
  type = map(object({
    arn         = string
    kms_key_arn = string
  }))
  default = {}
}

variable "package_object_arn" {
  description = "S3 object of the package. Only used with ec2."
  type        = string
  default     = null
}

variable "oidc" {
  description = "Identity provider of the EKS cluster (issuer without https://) and the service account that may take the task role. Needed with eks."
  type = object({
    provider_arn = string
    issuer       = string
    namespace    = string
    account      = string
  })
  default = null
  validation {
    condition     = var.compute != "eks" || var.oidc != null
    error_message = "oidc must be given when compute is eks: without it nothing could take the task role."
  }
}

variable "permissions_boundary_arn" {
  description = "Boundary of all roles, where the account asks for one."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}
