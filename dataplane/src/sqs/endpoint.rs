//! Where a queue's requests go: from its URL, its region and the operator's overrides.
//!
//! Level 1, pure. Source: AWS general reference, "Amazon SQS endpoints and quotas".

use crate::config::Queue;

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path of every request.
    pub path: String,
    /// Value of the `host` header: the port is left out when it is the scheme's own.
    pub host_header: String,
}

/// Endpoint and region of a queue; `env_region` is the environment's.
///
/// # Errors
/// A text that names the field, what is wrong with it and what would be right.
pub(crate) fn resolve(queue: &Queue, env_region: Option<&str>) -> Result<(Endpoint, String), String> {
    let own = parse(&queue.url).map_err(|text| format!("url: {text}"))?;
    let region =
        queue.region.clone().or_else(|| region_of(&own.host)).or_else(|| env_region.map(str::to_owned));
    let region = region
        .filter(|region| !region.is_empty())
        .ok_or_else(|| format!("region: the URL `{}` names none; set region or AWS_REGION", queue.url))?;
    let mut endpoint = if let Some(url) = &queue.endpoint {
        parse(url).map_err(|text| format!("endpoint: {text}"))?
    } else if queue.dual_stack || queue.fips {
        parse(&format!("https://{}", regional_host(&region, queue.dual_stack, queue.fips)))?
    } else {
        own
    };
    // The JSON protocol posts to the root; the queue is named in the body.
    "/".clone_into(&mut endpoint.path);
    Ok((endpoint, region))
}

/// `sqs.eu-west-1.amazonaws.com` and its relatives.
fn regional_host(region: &str, dual_stack: bool, fips: bool) -> String {
    let service = if fips { "sqs-fips" } else { "sqs" };
    let china = region.starts_with("cn-");
    let suffix = match (dual_stack, china) {
        (false, false) => "amazonaws.com",
        (false, true) => "amazonaws.com.cn",
        (true, false) => "api.aws",
        (true, true) => "api.amazonwebservices.com.cn",
    };
    format!("{service}.{region}.{suffix}")
}

/// The region that an AWS host names.
fn region_of(host: &str) -> Option<String> {
    let aws = ["amazonaws.com", "amazonaws.com.cn", "api.aws", "api.amazonwebservices.com.cn"];
    if !aws.iter().any(|suffix| host.ends_with(suffix)) {
        return None;
    }
    let looks_like_region = |part: &&str| {
        part.split('-').count() >= 3 && part.bytes().next_back().is_some_and(|byte| byte.is_ascii_digit())
    };
    // `vpce-0a1b-c2d3.sqs.eu-west-1.vpce.amazonaws.com`: the endpoint's own name comes first.
    host.split('.')
        .skip(1)
        .find(looks_like_region)
        .or_else(|| host.split('.').find(looks_like_region))
        .map(str::to_owned)
}

fn parse(url: &str) -> Result<Endpoint, String> {
    let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err(format!("`{url}` must begin with https:// or http://")),
    };
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    if authority.contains('@') {
        return Err("user and password do not belong in the URL; use the credential chain".to_owned());
    }
    let own_port = if tls { 443 } else { 80 };
    let bracket_end = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority[bracket_end..].rfind(':') {
        Some(at) => {
            let (host, port) = authority.split_at(bracket_end + at);
            let port = port[1..].parse().ok().filter(|&port: &u16| port != 0);
            (host, port.ok_or_else(|| format!("`{url}` has no valid port; use 1 to 65535"))?)
        }
        None => (authority, own_port),
    };
    let legal =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'[' | b']' | b':');
    if host.is_empty() || !host.bytes().all(legal) {
        return Err(format!("`{url}` has no valid host"));
    }
    let host_header = if port == own_port { host.to_owned() } else { format!("{host}:{port}") };
    Ok(Endpoint { tls, host: host.to_owned(), port, path: path.to_owned(), host_header })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(change: impl FnOnce(&mut Queue)) -> Result<(Endpoint, String), String> {
        let mut queue = Queue::new("https://sqs.eu-west-1.amazonaws.com/123/orders");
        change(&mut queue);
        resolve(&queue, None)
    }

    #[test]
    fn the_url_is_enough_on_aws() {
        let (endpoint, region) = queue(|_| {}).unwrap();
        assert_eq!(region, "eu-west-1");
        assert_eq!((endpoint.tls, endpoint.port, endpoint.path.as_str()), (true, 443, "/"));
        assert_eq!(endpoint.host_header, "sqs.eu-west-1.amazonaws.com");
    }

    #[test]
    fn overrides_change_the_host_and_keep_the_region() {
        let vpce = "https://vpce-0a1b-c2d3.sqs.eu-west-1.vpce.amazonaws.com";
        let (endpoint, region) = queue(|q| q.endpoint = Some(vpce.into())).unwrap();
        assert_eq!((endpoint.host.as_str(), region.as_str()), (&vpce[8..], "eu-west-1"));
        assert_eq!(queue(|q| q.dual_stack = true).unwrap().0.host, "sqs.eu-west-1.api.aws");
        assert_eq!(queue(|q| q.fips = true).unwrap().0.host, "sqs-fips.eu-west-1.amazonaws.com");
        let china = queue(|q| (q.fips, q.region) = (true, Some("cn-north-1".into()))).unwrap();
        assert_eq!(china.0.host, "sqs-fips.cn-north-1.amazonaws.com.cn");
        let (local, _) =
            queue(|q| (q.endpoint, q.region) = (Some("http://[::1]:9324".into()), Some("x-y-1".into())))
                .unwrap();
        assert_eq!(
            (local.host.as_str(), local.port, local.host_header.as_str()),
            ("[::1]", 9324, "[::1]:9324")
        );
    }

    #[test]
    fn wrong_urls_are_refused_with_field_fault_and_remedy() {
        for (url, part) in [
            ("ftp://x", "https://"),
            ("http://user:pass@x", "credential chain"),
            ("http://:80", "no valid host"),
            ("http://x:0", "no valid port"),
            ("http://x:99999", "no valid port"),
            ("http://a b", "no valid host"),
        ] {
            let error = queue(|q| q.url = url.into()).unwrap_err();
            assert!(error.starts_with("url:") && error.contains(part), "{url}: {error}");
        }
        let error = queue(|q| q.url = "http://127.0.0.1:9324/0/q".into()).unwrap_err();
        assert!(error.contains("AWS_REGION"), "{error}");
    }
}
