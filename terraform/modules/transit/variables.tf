variable "name" {
  description = "Name of the transit gateway and prefix of its parts."
  type        = string
}

variable "attachments" {
  description = "VPCs to join, by side: the attachment's own subnets (one per zone in use), the VPC's range, the workload route tables by name, and the sides whose ranges this side may reach."
  type = map(object({
    vpc_id       = string
    cidr         = string
    subnet_ids   = list(string)
    route_tables = map(string)
    learns_from  = list(string)
  }))
  validation {
    condition     = length(var.attachments) >= 2
    error_message = "attachments must join at least two VPCs; inside one VPC plain local routes do."
  }
  validation {
    condition     = alltrue(flatten([for side, attachment in var.attachments : [for from in attachment.learns_from : from != side && contains(keys(var.attachments), from)]]))
    error_message = "attachments: learns_from must name other sides of the same map."
  }
  validation {
    condition     = length(distinct([for attachment in var.attachments : attachment.cidr])) == length(var.attachments)
    error_message = "attachments: two sides have the same cidr and could never reach each other; give each its own range."
  }
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}
