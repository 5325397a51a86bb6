# The same network; an EKS cluster whose nodes have the seccomp profile and enough locked memory. deploy/helm installs the appliance into it.

module "millrace" {
  source = "../.."

  name     = "events"
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

  queue    = { fifo = true, producers_in_vpc = [var.producer_role_arn] }
  pipeline = { topic = "events" }
  kafka = {
    brokers = { b1 = "10.30.0.11", b2 = "10.30.16.12" }
  }

  compute  = "eks"
  host     = { instance_type = "c7i.xlarge" }
  capacity = { min = 2, max = 6 }
}
