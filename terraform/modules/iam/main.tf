# Roles with one task each: the appliance (task), the agent that starts it (execution), the machine (host).

locals {
  is_ecs = var.compute == "ecs"
  trust = {
    ecs = { type = "Service", identifier = "ecs-tasks.amazonaws.com", actions = ["sts:AssumeRole"] }
    ec2 = { type = "Service", identifier = "ec2.amazonaws.com", actions = ["sts:AssumeRole"] }
    eks = { type = "Federated", identifier = var.oidc == null ? "" : var.oidc.provider_arn, actions = ["sts:AssumeRoleWithWebIdentity"] }
  }[var.compute]
  conditions = {
    ecs = {
      account = { test = "StringEquals", variable = "aws:SourceAccount", value = var.account_id }
      source  = { test = "ArnLike", variable = "aws:SourceArn", value = "arn:aws:ecs:${var.region}:${var.account_id}:*" }
    }
    ec2 = {}
    eks = var.oidc == null ? {} : {
      subject  = { test = "StringEquals", variable = "${var.oidc.issuer}:sub", value = "system:serviceaccount:${var.oidc.namespace}:${var.oidc.account}" }
      audience = { test = "StringEquals", variable = "${var.oidc.issuer}:aud", value = "sts.amazonaws.com" }
    }
  }[var.compute]
}

# --- the appliance ---

data "aws_iam_policy_document" "task_trust" {
  statement {
    sid     = "Assume"
    actions = local.trust.actions
    principals {
      type        = local.trust.type
      identifiers = [local.trust.identifier]
    }
    dynamic "condition" {
      for_each = local.conditions
      content {
        test     = condition.value.test
        variable = condition.value.variable
        values   = [condition.value.value]
      }
    }
  }
}

data "aws_iam_policy_document" "task" {
  statement {
    sid       = "ConsumeOneQueue"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
    resources = [var.queue_arn]
  }
  statement {
    sid       = "DecryptItsMessages"
    actions   = ["kms:Decrypt"]
    resources = [var.queue_kms_key_arn]
  }
  dynamic "statement" {
    for_each = var.compute == "ec2" && var.package_object_arn != null ? [1] : []
    content {
      sid       = "FetchThePackage"
      actions   = ["s3:GetObject"]
      resources = [var.package_object_arn]
    }
  }
  # On a plain host the appliance's own preparation fetches the secret; elsewhere the orchestrator does.
  dynamic "statement" {
    for_each = var.compute == "ec2" && length(var.secrets) > 0 ? [1] : []
    content {
      sid       = "ReadKafkaSecret"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = [for secret in var.secrets : secret.arn]
    }
  }
  dynamic "statement" {
    for_each = var.compute == "ec2" && length(var.secrets) > 0 ? [1] : []
    content {
      sid       = "DecryptKafkaSecret"
      actions   = ["kms:Decrypt"]
      resources = [for secret in var.secrets : secret.kms_key_arn]
    }
  }
}

resource "aws_iam_role" "task" {
  name                 = "${var.name}-task"
  description          = "Millrace: consumes one queue"
  assume_role_policy   = data.aws_iam_policy_document.task_trust.json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "task" {
  name   = "consume"
  role   = aws_iam_role.task.id
  policy = data.aws_iam_policy_document.task.json
}

resource "aws_iam_instance_profile" "plain_host" {
  count = var.compute == "ec2" ? 1 : 0

  name = "${var.name}-task"
  role = aws_iam_role.task.name
  tags = var.tags
}

# --- ECS: what starts the task ---

data "aws_iam_policy_document" "execution" {
  statement {
    sid       = "LogInToRegistry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"] # the action knows no resource
  }
  dynamic "statement" {
    for_each = var.repository_arn == null ? [] : [1]
    content {
      sid       = "PullOneImage"
      actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      resources = [var.repository_arn]
    }
  }
  dynamic "statement" {
    for_each = var.log_group_arn == null ? [] : [1]
    content {
      sid       = "WriteItsLog"
      actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      resources = ["${var.log_group_arn}:*"]
    }
  }
  dynamic "statement" {
    for_each = length(var.secrets) > 0 ? [1] : []
    content {
      sid       = "ReadKafkaSecret"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = [for secret in var.secrets : secret.arn]
    }
  }
  dynamic "statement" {
    for_each = length(var.secrets) > 0 ? [1] : []
    content {
      sid       = "DecryptKafkaSecret"
      actions   = ["kms:Decrypt"]
      resources = [for secret in var.secrets : secret.kms_key_arn]
    }
  }
}

resource "aws_iam_role" "execution" {
  count = local.is_ecs ? 1 : 0

  name                 = "${var.name}-execution"
  description          = "Millrace: pulls the image, writes the log, reads Kafka's password"
  assume_role_policy   = data.aws_iam_policy_document.task_trust.json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "execution" {
  count = local.is_ecs ? 1 : 0

  name   = "start"
  role   = aws_iam_role.execution[0].id
  policy = data.aws_iam_policy_document.execution.json
}

# --- the machine ---

data "aws_iam_policy_document" "host_trust" {
  statement {
    sid     = "Machine"
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "host" {
  statement {
    sid       = "FindTheCluster"
    actions   = ["ecs:DiscoverPollEndpoint"]
    resources = ["*"] # the action knows no resource
  }
  statement {
    sid       = "JoinOneCluster"
    actions   = ["ecs:RegisterContainerInstance", "ecs:DeregisterContainerInstance", "ecs:SubmitContainerStateChange", "ecs:SubmitTaskStateChange", "ecs:SubmitAttachmentStateChanges"]
    resources = [local.cluster_arn]
  }
  statement {
    sid       = "TakeItsTasks"
    actions   = ["ecs:Poll", "ecs:StartTelemetrySession", "ecs:UpdateContainerInstancesState"]
    resources = ["arn:aws:ecs:${var.region}:${var.account_id}:container-instance/${var.cluster_name}/*"]
    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [local.cluster_arn]
    }
  }
}

locals {
  cluster_arn = "arn:aws:ecs:${var.region}:${var.account_id}:cluster/${var.cluster_name}"
  # What AWS asks of a node of EKS; it publishes these three for that purpose.
  node_policies = toset(["AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly", "AmazonEKS_CNI_Policy"])
}

resource "aws_iam_role" "host" {
  count = var.compute == "ec2" ? 0 : 1

  name                 = "${var.name}-host"
  description          = "Millrace: a machine of the cluster"
  assume_role_policy   = data.aws_iam_policy_document.host_trust.json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "host" {
  count = local.is_ecs ? 1 : 0

  name   = "join"
  role   = aws_iam_role.host[0].id
  policy = data.aws_iam_policy_document.host.json
}

resource "aws_iam_instance_profile" "host" {
  count = local.is_ecs ? 1 : 0

  name = "${var.name}-host"
  role = aws_iam_role.host[0].name
  tags = var.tags
}

resource "aws_iam_role_policy_attachment" "node" {
  for_each = var.compute == "eks" ? local.node_policies : toset([])

  role       = aws_iam_role.host[0].name
  policy_arn = "arn:aws:iam::aws:policy/${each.key}"
}
