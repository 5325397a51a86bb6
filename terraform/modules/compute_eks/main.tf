# An EKS cluster with one node group whose nodes have the seccomp profile as a file and enough locked memory. Pods name the profile as
# Localhost; deploy/helm does. The service account takes its role through the cluster's identity provider.

locals {
  profile = jsonencode(jsondecode(file("${path.module}/../../../deploy/seccomp/millrace.json")))
  script  = templatefile("${path.module}/host.sh.tftpl", { profile = local.profile })
  # nodeadm of Amazon Linux 2023 adds its own part; scripts run before it.
  user_data = <<-MIME
    MIME-Version: 1.0
    Content-Type: multipart/mixed; boundary="millrace"

    --millrace
    Content-Type: text/x-shellscript; charset="us-ascii"

    ${local.script}
    --millrace--
  MIME
  issuer    = trimprefix(aws_eks_cluster.this.identity[0].oidc[0].issuer, "https://")
}

data "aws_iam_policy_document" "cluster_trust" {
  statement {
    sid     = "Cluster"
    actions = ["sts:AssumeRole", "sts:TagSession"]
    principals {
      type        = "Service"
      identifiers = ["eks.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109:the policy of a key: its resource is the key, and the account's own IAM policies decide
  #checkov:skip=CKV_AWS_111:the policy of a key: its resource is the key
  #checkov:skip=CKV_AWS_356:the policy of a key: its resource is the key
  statement {
    sid       = "AccountAdministers"
    actions   = ["kms:*"]
    resources = ["*"] # in a key's policy: this key
    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${var.account_id}:root"]
    }
  }
}

resource "aws_kms_key" "this" {
  description             = "${var.name}: Kubernetes' secrets at rest"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
  tags                    = var.tags
}

resource "aws_iam_role" "cluster" {
  name                 = "${var.name}-cluster"
  description          = "Millrace: EKS acts for the cluster"
  assume_role_policy   = data.aws_iam_policy_document.cluster_trust.json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

# What AWS publishes for exactly this role.
resource "aws_iam_role_policy_attachment" "cluster" {
  role       = aws_iam_role.cluster.name
  policy_arn = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"
}

resource "aws_eks_cluster" "this" {
  name                      = var.name
  version                   = var.kubernetes_version
  role_arn                  = aws_iam_role.cluster.arn
  enabled_cluster_log_types = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
  tags                      = var.tags

  vpc_config {
    subnet_ids              = var.subnet_ids
    endpoint_private_access = true
    endpoint_public_access  = false
  }

  encryption_config {
    resources = ["secrets"]
    provider {
      key_arn = aws_kms_key.this.arn
    }
  }

  timeouts {
    create = "45m"
    delete = "30m"
  }

  depends_on = [aws_iam_role_policy_attachment.cluster]
}

resource "aws_iam_openid_connect_provider" "this" {
  url            = aws_eks_cluster.this.identity[0].oidc[0].issuer
  client_id_list = ["sts.amazonaws.com"]
  tags           = var.tags
}

resource "aws_launch_template" "this" {
  name_prefix            = "${var.name}-"
  user_data              = base64encode(local.user_data)
  update_default_version = true
  tags                   = var.tags

  vpc_security_group_ids = [var.security_group_id, aws_eks_cluster.this.vpc_config[0].cluster_security_group_id]

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
}

resource "aws_eks_node_group" "this" {
  cluster_name    = aws_eks_cluster.this.name
  node_group_name = "${var.name}-pump"
  node_role_arn   = var.node_role_arn
  subnet_ids      = var.subnet_ids
  instance_types  = [var.instance_type]
  ami_type        = var.ami_type
  capacity_type   = "ON_DEMAND"
  tags            = var.tags

  scaling_config {
    min_size     = var.capacity.min
    max_size     = var.capacity.max
    desired_size = var.capacity.min
  }

  update_config {
    max_unavailable = 1
  }

  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }

  # The pump has its cores for itself; other pods stay away.
  labels = { "millrace/io-uring" = "ready" }
  taint {
    key    = "millrace/pump"
    value  = "only"
    effect = "NO_SCHEDULE"
  }

  timeouts {
    create = "30m"
    update = "60m"
    delete = "30m"
  }

  lifecycle {
    ignore_changes = [scaling_config[0].desired_size] # the cluster's autoscaler owns it
  }
}
