# The policies as the real provider writes them: the document data sources are computed on this machine. Nothing is sent anywhere; what the
# policies refer to is overridden.

provider "aws" {
  region                      = "eu-west-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
}

variables {
  name              = "orders"
  region            = "eu-west-1"
  account_id        = "123456789012"
  queue_arn         = "arn:aws:sqs:eu-west-1:123456789012:orders"
  queue_kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/1"
}

run "task_of_ecs" {
  command = plan
  module { source = "./modules/iam" }
  variables {
    compute        = "ecs"
    cluster_name   = "orders"
    repository_arn = "arn:aws:ecr:eu-west-1:123456789012:repository/millrace"
    log_group_arn  = "arn:aws:logs:eu-west-1:123456789012:log-group:/millrace/orders"
    secrets        = { kafka = { arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:kafka", kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/2" } }
  }
  assert {
    condition = {
      for statement in jsondecode(output.task_policy_json).Statement : statement.Sid => { actions = toset(flatten([statement.Action])), on = toset(flatten([statement.Resource])) }
      } == {
      ConsumeOneQueue    = { actions = toset(["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"]), on = toset([var.queue_arn]) }
      DecryptItsMessages = { actions = toset(["kms:Decrypt"]), on = toset([var.queue_kms_key_arn]) }
    }
    error_message = "the appliance consumes one queue and decrypts with one key, and nothing else"
  }
  assert {
    condition     = jsondecode(output.task_trust_json).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012" && jsondecode(output.task_trust_json).Statement[0].Principal.Service == "ecs-tasks.amazonaws.com"
    error_message = "only tasks of this account take the role"
  }
  assert {
    condition = toset(flatten([for statement in jsondecode(output.execution_policy_json).Statement : statement.Action])) == toset([
      "ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "logs:CreateLogStream", "logs:PutLogEvents",
      "secretsmanager:GetSecretValue", "kms:Decrypt",
    ])
    error_message = "what starts the task pulls, logs and reads one secret"
  }
  assert {
    condition     = [for statement in jsondecode(output.execution_policy_json).Statement : statement.Sid if contains(flatten([statement.Resource]), "*")] == ["LogInToRegistry"]
    error_message = "only the registry's login has no resource"
  }
  assert {
    condition     = [for statement in jsondecode(output.host_policy_json).Statement : statement.Sid if contains(flatten([statement.Resource]), "*")] == ["FindTheCluster"]
    error_message = "only the search for the cluster has no resource"
  }
  assert {
    condition     = alltrue([for statement in concat(jsondecode(output.task_policy_json).Statement, jsondecode(output.host_policy_json).Statement, jsondecode(output.execution_policy_json).Statement) : alltrue([for action in flatten([statement.Action]) : !strcontains(action, "*")])])
    error_message = "no action has a wildcard"
  }
}

run "task_of_eks" {
  command = plan
  module { source = "./modules/iam" }
  variables {
    compute = "eks"
    oidc = {
      provider_arn = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/M"
      issuer       = "oidc.eks.eu-west-1.amazonaws.com/id/M"
      namespace    = "millrace"
      account      = "pump"
    }
  }
  assert {
    condition = jsondecode(output.task_trust_json).Statement[0].Condition.StringEquals == {
      "oidc.eks.eu-west-1.amazonaws.com/id/M:sub" = "system:serviceaccount:millrace:pump"
      "oidc.eks.eu-west-1.amazonaws.com/id/M:aud" = "sts.amazonaws.com"
    } && jsondecode(output.task_trust_json).Statement[0].Action == "sts:AssumeRoleWithWebIdentity"
    error_message = "one service account takes the role"
  }
}

run "task_of_ec2" {
  command = plan
  module { source = "./modules/iam" }
  variables {
    compute            = "ec2"
    package_object_arn = "arn:aws:s3:::packages/millrace.deb"
  }
  assert {
    condition     = { for statement in jsondecode(output.task_policy_json).Statement : statement.Sid => flatten([statement.Resource]) }["FetchThePackage"] == ["arn:aws:s3:::packages/millrace.deb"]
    error_message = "a plain machine fetches one object"
  }
  assert {
    condition     = length(jsondecode(output.task_policy_json).Statement) == 3
    error_message = "and nothing more than it consumes, decrypts and fetches"
  }
}

run "endpoint" {
  command = plan
  module { source = "./modules/endpoints" }
  variables {
    vpc_id             = "vpc-0123456789abcdef0"
    subnet_ids         = ["subnet-0123456789abcdef0"]
    route_table_ids    = ["rtb-0123456789abcdef0"]
    security_group_id  = "sg-0123456789abcdef0"
    consumer_role_arn  = "arn:aws:iam::123456789012:role/orders-task"
    producer_role_arns = ["arn:aws:iam::123456789012:role/shop"]
    readable_buckets   = ["packages"]
  }
  assert {
    condition = {
      for statement in jsondecode(output.sqs_policy_json).Statement : statement.Sid => { actions = toset(flatten([statement.Action])), on = statement.Resource, of = statement.Condition.ArnEquals["aws:PrincipalArn"] }
      } == {
      ConsumeOneQueue = { actions = toset(["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"]), on = var.queue_arn, of = "arn:aws:iam::123456789012:role/orders-task" }
      SendToOneQueue  = { actions = toset(["sqs:SendMessage", "sqs:GetQueueUrl", "sqs:GetQueueAttributes"]), on = var.queue_arn, of = "arn:aws:iam::123456789012:role/shop" }
    }
    error_message = "the endpoint names queue, actions and principals"
  }
  assert {
    condition     = toset(jsondecode(output.s3_policy_json).Statement[0].Resource) == toset(["arn:aws:s3:::prod-eu-west-1-starport-layer-bucket/*", "arn:aws:s3:::packages/*"])
    error_message = "S3 is layers and packages, for reading"
  }
}

run "queue" {
  module { source = "./modules/queue" }
  override_resource {
    target = aws_kms_key.this
    values = { arn = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000001", key_id = "00000000-0000-0000-0000-000000000001" }
  }
  override_resource {
    target = aws_kms_alias.this
  }
  override_resource {
    target = aws_sqs_queue.this
    values = { arn = "arn:aws:sqs:eu-west-1:123456789012:orders", id = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders" }
  }
  override_resource {
    target = aws_sqs_queue.dead_letter
    values = { arn = "arn:aws:sqs:eu-west-1:123456789012:orders-dead", id = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders-dead" }
  }
  override_resource {
    target = aws_sqs_queue_policy.main
  }
  override_resource {
    target = aws_sqs_queue_policy.dead_letter
  }
  override_resource {
    target = aws_sqs_queue_redrive_allow_policy.this
  }
  variables {
    endpoint_id      = "vpce-0123456789abcdef0"
    producer_arns    = ["arn:aws:iam::123456789012:role/shop"]
    break_glass_arns = ["arn:aws:iam::123456789012:role/emergency"]
  }
  assert {
    condition     = { for statement in jsondecode(output.policy_json).Statement : statement.Sid => statement.Effect } == { OnlyEncrypted = "Deny", ConsumeOnlyThroughEndpoint = "Deny", Producers = "Allow" }
    error_message = "two fences and one door"
  }
  assert {
    condition = jsondecode(output.policy_json).Statement[1].Condition == {
      StringNotEquals = { "aws:SourceVpce" = "vpce-0123456789abcdef0" }
      ArnNotLike      = { "aws:PrincipalArn" = "arn:aws:iam::123456789012:role/emergency" }
    } && toset(jsondecode(output.policy_json).Statement[1].Action) == toset(["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"])
    error_message = "messages leave through the endpoint, but for an emergency"
  }
  assert {
    condition     = toset(jsondecode(output.policy_json).Statement[2].Action) == toset(["sqs:SendMessage", "sqs:GetQueueUrl", "sqs:GetQueueAttributes"])
    error_message = "producers send"
  }
}
