# The ways out of private subnets without NAT: SQS behind a policy of its own, what the orchestrator and the logs need, and S3 for image
# layers and packages.

data "aws_iam_policy_document" "sqs" {
  #checkov:skip=CKV_AWS_283:the condition names the role
  statement {
    sid       = "ConsumeOneQueue"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
    resources = [var.queue_arn]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    # The principal of a role's session is not the role's ARN, so the role is named by condition.
    condition {
      test     = "ArnEquals"
      variable = "aws:PrincipalArn"
      values   = [var.consumer_role_arn]
    }
  }

  dynamic "statement" {
    for_each = length(var.producer_role_arns) > 0 ? [1] : []
    content {
      sid       = "SendToOneQueue"
      actions   = ["sqs:SendMessage", "sqs:GetQueueUrl", "sqs:GetQueueAttributes"]
      resources = [var.queue_arn]
      principals {
        type        = "AWS"
        identifiers = ["*"]
      }
      condition {
        test     = "ArnEquals"
        variable = "aws:PrincipalArn"
        values   = var.producer_role_arns
      }
    }
  }
}

# Everything else is fenced by account: what comes through these endpoints acts for this account's principals only.
data "aws_iam_policy_document" "account" {
  #checkov:skip=CKV_AWS_49:an endpoint reaches one service; what its principals may do there is said by their own policies
  #checkov:skip=CKV_AWS_1:the condition lets this account's principals through and nobody else's
  #checkov:skip=CKV_AWS_283:the condition names the account
  statement {
    sid       = "OwnPrincipals"
    actions   = ["*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:PrincipalAccount"
      values   = [var.account_id]
    }
  }
}

# Image layers and packages lie in AWS's and in our buckets; nothing is written.
data "aws_iam_policy_document" "s3" {
  #checkov:skip=CKV_AWS_283:image layers are fetched with signed URLs of AWS's own account; the resources are named, for reading
  statement {
    sid       = "ReadLayersAndPackages"
    actions   = ["s3:GetObject"]
    resources = concat(["arn:aws:s3:::prod-${var.region}-starport-layer-bucket/*"], [for bucket in var.readable_buckets : "arn:aws:s3:::${bucket}/*"])
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
  }
}

resource "aws_vpc_endpoint" "sqs" {
  vpc_id              = var.vpc_id
  service_name        = "com.amazonaws.${var.region}.sqs"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = var.subnet_ids
  security_group_ids  = [var.security_group_id]
  policy              = data.aws_iam_policy_document.sqs.json
  tags                = merge(var.tags, { Name = "${var.name}-sqs" })
}

resource "aws_vpc_endpoint" "interface" {
  for_each = var.interface_services

  vpc_id              = var.vpc_id
  service_name        = "com.amazonaws.${var.region}.${each.value}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = var.subnet_ids
  security_group_ids  = [var.security_group_id]
  policy              = data.aws_iam_policy_document.account.json
  tags                = merge(var.tags, { Name = "${var.name}-${replace(each.value, ".", "-")}" })
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = var.vpc_id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = var.route_table_ids
  policy            = data.aws_iam_policy_document.s3.json
  tags              = merge(var.tags, { Name = "${var.name}-s3" })
}
