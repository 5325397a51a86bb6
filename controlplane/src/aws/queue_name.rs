//! What a queue's URL says about it: region, account, name, and so its ARN.
//!
//! Pure. Source: SQS developer guide, "Amazon SQS queue and message identifiers".

/// A queue as its URL names it; a part that the URL does not tell is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueueName {
    /// Scheme, host and port.
    pub(crate) origin: String,
    /// Whether the host is AWS's own.
    pub(crate) on_aws: bool,
    /// Region of an AWS host.
    pub(crate) region: Option<String>,
    account: Option<String>,
    name: String,
}

impl QueueName {
    /// Reads a queue URL. Any text is taken: what is no URL gives a name and nothing else.
    pub(crate) fn parse(url: &str) -> QueueName {
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = authority.split(':').next().unwrap_or_default();
        let suffixes = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".api.amazonwebservices.com.cn"];
        let on_aws = suffixes.iter().any(|suffix| host.ends_with(suffix));
        let is_region =
            |part: &&str| part.split('-').count() >= 3 && part.ends_with(|c: char| c.is_ascii_digit());
        let region = host.split('.').rev().find(is_region).filter(|_| on_aws);
        let mut parts = path.rsplit('/').filter(|part| !part.is_empty());
        let name = parts.next().unwrap_or_default().to_owned();
        let account =
            parts.next().filter(|part| part.len() == 12 && part.bytes().all(|b| b.is_ascii_digit()));
        QueueName {
            origin: format!("{scheme}://{authority}"),
            on_aws,
            region: region.map(str::to_owned),
            account: account.map(str::to_owned),
            name,
        }
    }

    /// ARN of the queue; `*` stands for what the URL does not tell.
    pub(crate) fn arn(&self, region: &str) -> String {
        let partition = match region {
            region if region.starts_with("cn-") => "aws-cn",
            region if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        let account = self.account.as_deref().unwrap_or("*");
        format!("arn:{partition}:sqs:{region}:{account}:{}", self.name)
    }

    /// Whether the name is that of a FIFO queue.
    pub(crate) fn is_fifo(&self) -> bool {
        self.name.ends_with(".fifo")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_aws_tell_region_and_arn() {
        for (url, region, arn) in [
            (
                "https://sqs.eu-west-1.amazonaws.com/123456789012/orders",
                "eu-west-1",
                "arn:aws:sqs:eu-west-1:123456789012:orders",
            ),
            (
                "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q.fifo",
                "cn-north-1",
                "arn:aws-cn:sqs:cn-north-1:123456789012:q.fifo",
            ),
            (
                "https://vpce-0a1b-c2d3.sqs.us-gov-west-1.vpce.amazonaws.com/123456789012/q",
                "us-gov-west-1",
                "arn:aws-us-gov:sqs:us-gov-west-1:123456789012:q",
            ),
        ] {
            let queue = QueueName::parse(url);
            assert_eq!(queue.region.as_deref(), Some(region), "{url}");
            assert_eq!(queue.arn(region), arn);
            assert!(queue.on_aws);
        }
        assert!(QueueName::parse("https://x/1/q.fifo").is_fifo());
    }

    #[test]
    fn an_emulator_tells_its_origin_only() {
        let queue = QueueName::parse("http://127.0.0.1:9324/000000000000/orders");
        assert_eq!(
            (queue.origin.as_str(), queue.on_aws, queue.region.as_deref()),
            ("http://127.0.0.1:9324", false, None)
        );
        assert_eq!(QueueName::parse("nonsense").arn("x-y-1"), "arn:aws:sqs:x-y-1:*:");
    }
}
