variable "name" {
  description = "Name of the machines and their group."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,29}$", var.name))
    error_message = "name must begin with a letter and have 2 to 30 of a-z, 0-9 and -."
  }
}

variable "region" {
  description = "Region of the package's bucket and of the secret."
  type        = string
}

variable "image_id" {
  description = "Machine image: Debian 12 or newer, or Amazon Linux 2023, with the AWS command line."
  type        = string
  validation {
    condition     = can(regex("^ami-[0-9a-f]{8,17}$", var.image_id))
    error_message = "image_id must be an image such as ami-0123456789abcdef0."
  }
}

variable "root_device" {
  description = "Root device of the image: /dev/xvda in Debian's and Amazon's."
  type        = string
  default     = "/dev/xvda"
}

variable "instance_type" {
  description = "Type of the machines; docs/sizing.md helps to choose."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9-]+[.][a-z0-9-]+$", var.instance_type)) && !can(regex("^t[0-9]", var.instance_type))
    error_message = "instance_type must be a type such as c7i.large; burstable ones (t3, t4g) run out of CPU credit, since the pump never rests."
  }
}

variable "capacity" {
  description = "Fewest and most machines."
  type = object({
    min = number
    max = number
  })
  validation {
    condition     = var.capacity.min >= 1 && var.capacity.max >= var.capacity.min && var.capacity.max <= 100
    error_message = "capacity needs 1 <= min <= max <= 100: with no machine at all the backlog per machine has no meaning."
  }
}

variable "package" {
  description = "Package (.deb or .tar.gz of `make dist`) in S3, and its SHA-256. Unset: the image has Millrace already."
  type = object({
    bucket = string
    key    = string
    sha256 = string
  })
  default = null
  validation {
    condition     = var.package == null || try(can(regex("^[0-9a-f]{64}$", var.package.sha256)) && can(regex("[.](deb|tar[.]gz)$", var.package.key)) && can(regex("^[A-Za-z0-9._/-]+$", var.package.key)), false)
    error_message = "package needs a key of letters, digits, . _ / - that ends with .deb or .tar.gz, and the sha256 of the object as 64 hexadecimal digits."
  }
}

variable "configuration" {
  description = "Content of /etc/millrace/millrace.toml. Nothing secret: passwords stand in it by reference."
  type        = string
}

variable "password_secret" {
  description = "ARN of the secret whose key `password` is Kafka's password. Unset: none."
  type        = string
  default     = null
}

variable "subnet_ids" {
  description = "Workload subnets of side a."
  type        = list(string)
}

variable "security_group_id" {
  description = "Security group of the machines."
  type        = string
}

variable "host_profile_name" {
  description = "Instance profile: on a plain machine the appliance's own role."
  type        = string
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}
