# Validations of the root: what cannot work is refused before anything is made, each with a remedy.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_region" {
    defaults = { name = "eu-west-1" }
  }
}

variables {
  name     = "orders"
  topology = "two-vpc"
  sides = {
    a = { cidr = "10.0.0.0/16", workload = { eu-west-1a = "10.0.0.0/20", eu-west-1b = "10.0.16.0/20" }, attachment = { eu-west-1a = "10.0.255.0/28", eu-west-1b = "10.0.255.16/28" } }
    b = { cidr = "10.1.0.0/16", workload = { eu-west-1a = "10.1.0.0/20", eu-west-1b = "10.1.16.0/20" }, attachment = { eu-west-1a = "10.1.255.0/28", eu-west-1b = "10.1.255.16/28" } }
  }
  pipeline = { topic = "orders" }
  kafka    = { brokers = { b1 = "10.1.0.11" } }
  compute  = "ec2"
  host     = { instance_type = "c7i.large", image_id = "ami-0123456789abcdef0" }
  capacity = { min = 1, max = 2 }
}

run "many_at_once" {
  command = plan
  variables {
    name             = "Orders"
    topology         = "mesh"
    compute          = "fargate"
    capacity         = { min = 0, max = 2 }
    backlog_per_pump = 1
    drain_seconds    = 5
    pipeline         = { topic = "a b" }
  }
  expect_failures = [var.name, var.topology, var.compute, var.capacity, var.backlog_per_pump, var.drain_seconds, var.pipeline]
}

run "vpc_cidr_only_in_a_single_vpc" {
  command = plan
  variables {
    vpc_cidr = "10.0.0.0/8"
  }
  expect_failures = [var.vpc_cidr]
}

run "an_attachment_in_each_zone" {
  command = plan
  variables {
    sides = {
      a = { cidr = "10.0.0.0/16", workload = { eu-west-1a = "10.0.0.0/20", eu-west-1b = "10.0.16.0/20" }, attachment = { eu-west-1a = "10.0.255.0/28" } }
      b = { cidr = "10.1.0.0/16", workload = { eu-west-1a = "10.1.0.0/20", eu-west-1b = "10.1.16.0/20" }, attachment = { eu-west-1a = "10.1.255.0/28", eu-west-1b = "10.1.255.16/28" } }
    }
  }
  expect_failures = [var.sides]
}

run "two_zones_at_least" {
  command = plan
  variables {
    sides = {
      a = { cidr = "10.0.0.0/16", workload = { eu-west-1a = "10.0.0.0/20" }, attachment = { eu-west-1a = "10.0.255.0/28" } }
      b = { cidr = "10.1.0.0/16", workload = { eu-west-1a = "10.1.0.0/20" }, attachment = { eu-west-1a = "10.1.255.0/28" } }
    }
  }
  expect_failures = [var.sides]
}

run "a_login_is_whole" {
  command = plan
  variables {
    kafka = { brokers = { b1 = "10.1.0.11" }, protocol = "sasl_ssl" }
  }
  expect_failures = [var.kafka]
}

run "brokers_or_msk" {
  command = plan
  variables {
    kafka = { username = "millrace", brokers = { b1 = "10.1.0.11" } }
    msk   = {}
  }
  expect_failures = [var.kafka]
}

run "msk_has_a_user" {
  command = plan
  variables {
    kafka = {}
    msk   = {}
  }
  expect_failures = [var.kafka]
}

run "ecs_has_an_image" {
  command = plan
  variables {
    compute = "ecs"
  }
  expect_failures = [var.host]
}

run "settings_are_keys_below_pipeline" {
  command = plan
  variables {
    pipeline = { topic = "orders", settings = { "linger" = "1" } }
  }
  expect_failures = [var.pipeline]
}
