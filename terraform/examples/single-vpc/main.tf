# Both sides in one VPC, plain machines with systemd: the plainest stack.

module "millrace" {
  source = "../.."

  name     = "audit"
  topology = "single-vpc"
  vpc_cidr = "10.40.0.0/16"
  sides = {
    a = {
      cidr     = "10.40.0.0/17"
      workload = { "${var.region}a" = "10.40.0.0/20", "${var.region}b" = "10.40.16.0/20" }
    }
    b = {
      cidr     = "10.40.128.0/17"
      workload = { "${var.region}a" = "10.40.128.0/20", "${var.region}b" = "10.40.144.0/20" }
    }
  }

  pipeline = { topic = "audit", settings = { "validate.json" = "true" } }
  kafka = {
    brokers = { b1 = "10.40.128.11", b2 = "10.40.144.12" }
  }

  compute = "ec2"
  host = {
    instance_type = "c7i.large"
    image_id      = var.image_id
    package       = var.package
  }
  capacity = { min = 1, max = 4 }
}
