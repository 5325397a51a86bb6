variable "region" {
  description = "Region of the stack."
  type        = string
}

variable "image_id" {
  description = "Debian 12 or newer, or Amazon Linux 2023."
  type        = string
}

variable "package" {
  description = "Package of Millrace in S3, and its SHA-256."
  type        = object({ bucket = string, key = string, sha256 = string })
}
