# ECS on EC2 machines that this service has for itself. ECS cannot name a seccomp profile in a task, so the machine's preparation makes the
# profile the default of its Docker: no other service may be placed there (own capacity provider, cluster and attribute).

locals {
  profile = jsonencode(jsondecode(file("${path.module}/../../../deploy/seccomp/millrace.json")))
  user_data = templatefile("${path.module}/host.sh.tftpl", {
    cluster = aws_ecs_cluster.this.name
    profile = local.profile
  })
  # Rings, registered buffers and librdkafka's own need less than this; the limit only keeps a fault from eating the machine.
  memlock_bytes = 268435456
}

resource "aws_ecs_cluster" "this" {
  name = var.name
  tags = var.tags

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
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
    device_name = "/dev/xvda"
    ebs {
      volume_size = 30
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
  name                  = var.name
  min_size              = var.capacity.min
  max_size              = var.capacity.max
  vpc_zone_identifier   = var.subnet_ids
  protect_from_scale_in = true # ECS decides which machine is free to go
  health_check_type     = "EC2"
  force_delete          = true # or destroying the stack waits for machines that are protected from leaving

  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }

  dynamic "tag" {
    for_each = merge(var.tags, { Name = var.name, AmazonECSManaged = "true" })
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

resource "aws_ecs_capacity_provider" "this" {
  name = var.name
  tags = var.tags

  auto_scaling_group_provider {
    auto_scaling_group_arn         = aws_autoscaling_group.this.arn
    managed_termination_protection = "ENABLED"
    managed_draining               = "ENABLED"
    managed_scaling {
      status                    = "ENABLED"
      target_capacity           = 100
      minimum_scaling_step_size = 1
      maximum_scaling_step_size = 4
    }
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = [aws_ecs_capacity_provider.this.name]
}

resource "aws_ecs_task_definition" "this" {
  family                   = var.name
  network_mode             = "awsvpc"
  requires_compatibilities = ["EC2"]
  task_role_arn            = var.task_role_arn
  execution_role_arn       = var.execution_role_arn
  tags                     = var.tags

  container_definitions = jsonencode([{
    name              = "millrace"
    image             = var.image
    essential         = true
    command           = var.command
    memory            = var.memory_mib
    memoryReservation = var.memory_mib
    user              = "65532:65532"

    readonlyRootFilesystem = true
    privileged             = false
    dockerSecurityOptions  = ["no-new-privileges"]
    # More than the drain's deadline, or ECS kills what is being finished.
    stopTimeout = var.stop_timeout_seconds

    linuxParameters = {
      capabilities       = { add = [], drop = ["ALL"] }
      initProcessEnabled = false
    }
    ulimits = [
      { name = "memlock", softLimit = local.memlock_bytes, hardLimit = local.memlock_bytes },
      { name = "nofile", softLimit = 65536, hardLimit = 65536 },
    ]
    environment = [for key in sort(keys(var.environment)) : { name = key, value = var.environment[key] }]
    secrets     = [for key in sort(keys(var.secrets)) : { name = key, valueFrom = var.secrets[key] }]
    healthCheck = {
      command     = ["CMD", "/usr/bin/millrace", "probe", "live"]
      interval    = 10
      timeout     = 5
      retries     = 3
      startPeriod = 15
    }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = var.log_group_name
        awslogs-region        = var.region
        awslogs-stream-prefix = "millrace"
        mode                  = "non-blocking"
        max-buffer-size       = "8m"
      }
    }
  }])
}

resource "aws_ecs_service" "this" {
  name            = var.name
  cluster         = aws_ecs_cluster.this.id
  task_definition = aws_ecs_task_definition.this.arn
  desired_count   = var.capacity.min
  tags            = var.tags

  # A new task needs a machine of its own, so the old one may go first; SQS keeps what arrives meanwhile.
  deployment_minimum_healthy_percent = 50
  deployment_maximum_percent         = 100
  enable_execute_command             = false
  propagate_tags                     = "SERVICE"

  capacity_provider_strategy {
    capacity_provider = aws_ecs_capacity_provider.this.name
    weight            = 1
    base              = 0
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [var.security_group_id]
    assign_public_ip = false
  }

  ordered_placement_strategy {
    type  = "spread"
    field = "attribute:ecs.availability-zone"
  }

  placement_constraints {
    type = "distinctInstance"
  }

  placement_constraints {
    type       = "memberOf"
    expression = "attribute:millrace.io_uring == ready"
  }

  lifecycle {
    ignore_changes = [desired_count] # scaling owns it
  }

  depends_on = [aws_ecs_cluster_capacity_providers.this]
}
