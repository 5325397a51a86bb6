# Two VPCs with Amazon MSK on side b; plain machines on side a. Write the password into the secret before the first start:
#   aws secretsmanager put-secret-value --secret-id AmazonMSK_payments --secret-string file://secret.json

module "millrace" {
  source = "../.."

  name     = "payments"
  topology = "two-vpc"
  sides = {
    a = {
      cidr       = "10.20.0.0/16"
      workload   = { "${var.region}a" = "10.20.0.0/20", "${var.region}b" = "10.20.16.0/20" }
      attachment = { "${var.region}a" = "10.20.255.0/28", "${var.region}b" = "10.20.255.16/28" }
    }
    b = {
      cidr       = "10.30.0.0/16"
      workload   = { "${var.region}a" = "10.30.0.0/20", "${var.region}b" = "10.30.16.0/20" }
      attachment = { "${var.region}a" = "10.30.255.0/28", "${var.region}b" = "10.30.255.16/28" }
    }
  }

  queue    = { fifo = true }
  pipeline = { topic = "payments", dead_letter_topic = "payments-rejected" }
  msk      = { instance_type = "kafka.m7g.large", volume_gib = 500 }
  kafka    = { username = "millrace" }

  compute = "ec2"
  host = {
    instance_type = "c7i.large"
    image_id      = var.image_id
    package       = var.package
  }
  capacity = { min = 2, max = 4 }
}
