# The queue and its dead-letter queue, both encrypted with one key; who may reach them and how.

locals {
  suffix = var.fifo ? ".fifo" : ""
}

data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109:the policy of a key: its resource is the key, and the account's own IAM policies decide
  #checkov:skip=CKV_AWS_111:the policy of a key: its resource is the key
  #checkov:skip=CKV_AWS_356:the policy of a key: its resource is the key
  # Gives the account's own IAM policies their say; without it nobody could change the key.
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
  description             = "${var.name}: messages of the queue at rest"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
  tags                    = var.tags
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}-queue"
  target_key_id = aws_kms_key.this.key_id
}

resource "aws_sqs_queue" "dead_letter" {
  name                              = "${var.name}-dead${local.suffix}"
  fifo_queue                        = var.fifo
  message_retention_seconds         = 1209600 # the longest that SQS has, and longer than the queue's own
  kms_master_key_id                 = aws_kms_key.this.arn
  kms_data_key_reuse_period_seconds = var.data_key_reuse_seconds
  tags                              = var.tags
}

resource "aws_sqs_queue" "this" {
  name                              = "${var.name}${local.suffix}"
  fifo_queue                        = var.fifo
  deduplication_scope               = var.fifo ? "messageGroup" : null
  fifo_throughput_limit             = var.fifo ? "perMessageGroupId" : null
  visibility_timeout_seconds        = var.visibility_timeout_seconds
  message_retention_seconds         = var.retention_seconds
  receive_wait_time_seconds         = 20
  kms_master_key_id                 = aws_kms_key.this.arn
  kms_data_key_reuse_period_seconds = var.data_key_reuse_seconds
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letter.arn
    maxReceiveCount     = var.receive_count_max
  })
  tags = var.tags
}

# Only this queue may name the dead-letter queue as its own.
resource "aws_sqs_queue_redrive_allow_policy" "this" {
  queue_url = aws_sqs_queue.dead_letter.id
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.this.arn]
  })
}

data "aws_iam_policy_document" "main" {
  statement {
    sid       = "OnlyEncrypted"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [aws_sqs_queue.this.arn]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  # Messages leave the queue through our endpoint only, whoever asks.
  statement {
    sid       = "ConsumeOnlyThroughEndpoint"
    effect    = "Deny"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"]
    resources = [aws_sqs_queue.this.arn]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    condition {
      test     = "StringNotEquals"
      variable = "aws:SourceVpce"
      values   = [var.endpoint_id]
    }
    dynamic "condition" {
      for_each = length(var.break_glass_arns) > 0 ? [1] : []
      content {
        test     = "ArnNotLike"
        variable = "aws:PrincipalArn"
        values   = var.break_glass_arns
      }
    }
  }

  dynamic "statement" {
    for_each = length(var.producer_arns) > 0 ? [1] : []
    content {
      sid       = "Producers"
      actions   = ["sqs:SendMessage", "sqs:GetQueueUrl", "sqs:GetQueueAttributes"]
      resources = [aws_sqs_queue.this.arn]
      principals {
        type        = "AWS"
        identifiers = var.producer_arns
      }
    }
  }
}

# No fence by endpoint here: SQS's own move task (redrive) does not come through it.
data "aws_iam_policy_document" "dead_letter" {
  statement {
    sid       = "OnlyEncrypted"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [aws_sqs_queue.dead_letter.arn]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue_policy" "main" {
  queue_url = aws_sqs_queue.this.id
  policy    = data.aws_iam_policy_document.main.json
}

resource "aws_sqs_queue_policy" "dead_letter" {
  queue_url = aws_sqs_queue.dead_letter.id
  policy    = data.aws_iam_policy_document.dead_letter.json
}
