# The plainest way: machines with the package, a systemd unit, a file in /etc. Nothing between the appliance and the kernel.

locals {
  user_data = templatefile("${path.module}/host.sh.tftpl", {
    region        = var.region
    configuration = var.configuration
    package       = var.package
    password      = var.password_secret
  })
}

resource "aws_launch_template" "this" {
  name_prefix            = "${var.name}-"
  image_id               = var.image_id
  instance_type          = var.instance_type
  user_data              = base64gzip(local.user_data)
  update_default_version = true
  tags                   = var.tags

  iam_instance_profile {
    name = var.host_profile_name
  }

  network_interfaces {
    associate_public_ip_address = false
    security_groups             = [var.security_group_id]
    delete_on_termination       = true
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = var.root_device
    ebs {
      volume_size = 20
      volume_type = "gp3"
      encrypted   = true
    }
  }

  monitoring {
    enabled = true
  }

  tag_specifications {
    resource_type = "instance"
    tags          = merge(var.tags, { Name = var.name })
  }
}

resource "aws_autoscaling_group" "this" {
  name                      = var.name
  min_size                  = var.capacity.min
  max_size                  = var.capacity.max
  vpc_zone_identifier       = var.subnet_ids
  health_check_type         = "EC2"
  default_instance_warmup   = 60
  wait_for_capacity_timeout = "10m"
  enabled_metrics           = ["GroupInServiceInstances", "GroupDesiredCapacity"]

  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }

  instance_refresh {
    strategy = "Rolling"
    preferences {
      min_healthy_percentage = 50
      auto_rollback          = true
    }
  }

  dynamic "tag" {
    for_each = merge(var.tags, { Name = var.name })
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  lifecycle {
    ignore_changes = [desired_capacity]
  }
}
