//! What the appliance watches about itself: alerts and who is told, what requests cost, where figures are exported.
//!
//! Level 0, plain types. Read by the control plane; a shard never looks at them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problems::Found;
use super::secret::SecretRef;
use super::units::Time;

/// Receivers of alerts of one kind, at most.
const RECEIVERS_MAX: usize = 16;

/// Alerts: further rules, and who is told. The log is always told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// TOML file of rules, in addition to those that ship; a rule of the same name replaces one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules_file: Option<PathBuf>,
    /// Web hooks that are told, at most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub webhook: Vec<Webhook>,
    /// SNS topics that are told, at most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sns: Vec<Sns>,
}

/// A web hook that is told about alerts. Each notice is signed with HMAC-SHA256; redirects are not followed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Name in the log, in metrics and in the API.
    pub name: String,
    /// Address: https, or http on a loopback address.
    pub url: String,
    /// Key of the signature, 32 characters or more.
    pub secret: SecretRef,
    /// Also allow plain http to other machines: whoever listens on the way reads the notices.
    #[serde(default)]
    pub allow_http: bool,
    /// Tell pages only, not tickets.
    #[serde(default)]
    pub pages_only: bool,
}

/// An SNS topic that is told about alerts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sns {
    /// Name in the log, in metrics and in the API.
    pub name: String,
    /// ARN of the topic; its region is used.
    pub topic_arn: String,
    /// Another endpoint than the region's: a VPC endpoint or an emulator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Tell pages only, not tickets.
    #[serde(default)]
    pub pages_only: bool,
}

/// Prices of SQS, for the cost meter. The defaults are those of US East (N. Virginia), first 100 billion requests a month.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cost {
    /// Price of a million requests to a standard queue, US dollars, 0 to 1000.
    pub standard_usd_per_million: f64,
    /// Price of a million requests to a FIFO queue, US dollars, 0 to 1000.
    pub fifo_usd_per_million: f64,
    /// When these prices were looked up.
    pub as_of: String,
    /// Where.
    pub source: String,
    /// Requests a minute of one queue above which the alert `request-budget` fires. Unset: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute_max: Option<u64>,
}

impl Default for Cost {
    fn default() -> Self {
        Cost {
            standard_usd_per_million: 0.40,
            fifo_usd_per_million: 0.50,
            as_of: "2026-06".to_owned(),
            source: "https://aws.amazon.com/sqs/pricing/".to_owned(),
            requests_per_minute_max: None,
        }
    }
}

/// Export of figures to other systems than Prometheus, which scrapes `/metrics`. Off unless asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Export {
    /// CloudWatch's embedded metric format: one JSON line for each pipeline and interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emf: Option<Emf>,
    /// OpenTelemetry over HTTP: everything that `/metrics` has, pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp: Option<Otlp>,
}

/// OpenTelemetry's OTLP over HTTP with JSON bodies, for a collector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Otlp {
    /// Where a collector takes metrics, for example `https://collector.example.com:4318/v1/metrics`.
    pub url: String,
    /// Time between two pushes, 5 s to 10 min.
    #[serde(default = "otlp_every")]
    pub every: Time,
    /// Value of the header `authorization`, if the collector asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<SecretRef>,
    /// Allow plain http to another machine; to this one it always is.
    #[serde(default)]
    pub allow_http: bool,
}

fn otlp_every() -> Time {
    Time::from_secs(30)
}

/// CloudWatch's embedded metric format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Emf {
    /// CloudWatch namespace, 1 to 255 characters.
    pub namespace: String,
    /// File that lines are appended to, for the CloudWatch agent. Unset: stdout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Time between two lines of a pipeline, 10 s to 10 min.
    pub every: Time,
}

impl Default for Emf {
    fn default() -> Self {
        Emf { namespace: "Millrace".to_owned(), file: None, every: Time::from_secs(60) }
    }
}

/// What is wrong with these tables.
pub(super) fn problems(found: &mut Found, alerts: &Alerts, cost: &Cost, export: &Export) {
    let mut names = std::collections::HashSet::new();
    let receivers = alerts.webhook.iter().map(|hook| ("alerts.webhook.name", &hook.name));
    for (field, name) in receivers.chain(alerts.sns.iter().map(|sns| ("alerts.sns.name", &sns.name))) {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(legal) || name == "log" {
            found.add(
                field,
                format!("`{name}` is not 1 to 64 letters, digits, - and _, or it is `log`, which is taken"),
            );
        }
        if !names.insert(name) {
            found.add(field, format!("`{name}` is used twice; names of receivers must differ"));
        }
    }
    for (field, count) in [("alerts.webhook", alerts.webhook.len()), ("alerts.sns", alerts.sns.len())] {
        if count > RECEIVERS_MAX {
            found.add(field, format!("there are {count}; at most {RECEIVERS_MAX} are allowed"));
        }
    }
    for sns in &alerts.sns {
        let parts: Vec<&str> = sns.topic_arn.split(':').collect();
        let is_arn = parts.len() == 6 && parts[0] == "arn" && parts[2] == "sns" && !parts[3].is_empty();
        if !is_arn {
            let text = format!("`{}` is not arn:aws:sns:REGION:ACCOUNT:NAME", sns.topic_arn);
            found.add("alerts.sns.topic_arn", text);
        }
    }
    for (field, price) in [
        ("cost.standard_usd_per_million", cost.standard_usd_per_million),
        ("cost.fifo_usd_per_million", cost.fifo_usd_per_million),
    ] {
        if !(0.0..=1000.0).contains(&price) {
            found.add(field, format!("{price} is outside 0 to 1000"));
        }
    }
    if let Some(otlp) = &export.otlp {
        found.range("export.otlp.every", otlp.every, Time::from_secs(5), Time::from_secs(600));
    }
    if let Some(emf) = &export.emf {
        found.range("export.emf.every", emf.every, Time::from_secs(10), Time::from_secs(600));
        if !(1..=255).contains(&emf.namespace.len()) {
            found.add("export.emf.namespace", "give 1 to 255 characters".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(alerts: &Alerts, cost: &Cost, export: &Export) -> Vec<String> {
        let mut found = Found(Vec::new());
        problems(&mut found, alerts, cost, export);
        found.0.into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn the_defaults_are_sound() {
        assert!(fields(&Alerts::default(), &Cost::default(), &Export::default()).is_empty());
    }

    #[test]
    fn each_fault_names_its_field() {
        let sns = |name: &str, arn: &str| Sns {
            name: name.to_owned(),
            topic_arn: arn.to_owned(),
            endpoint: None,
            pages_only: false,
        };
        let arn = "arn:aws:sns:eu-west-1:123456789012:alerts";
        let with = |sns: Vec<Sns>| Alerts { sns, ..Alerts::default() };
        let (cost, export) = (Cost::default(), Export::default());
        assert_eq!(fields(&with(vec![sns("a", "alerts")]), &cost, &export), ["alerts.sns.topic_arn"]);
        assert_eq!(fields(&with(vec![sns("log", arn)]), &cost, &export), ["alerts.sns.name"]);
        assert_eq!(fields(&with(vec![sns("a", arn), sns("a", arn)]), &cost, &export), ["alerts.sns.name"]);
        let many = (0..17).map(|number| sns(&number.to_string(), arn)).collect();
        assert_eq!(fields(&with(many), &cost, &export), ["alerts.sns"]);
        let dear = Cost { fifo_usd_per_million: f64::NAN, ..Cost::default() };
        assert_eq!(fields(&Alerts::default(), &dear, &export), ["cost.fifo_usd_per_million"]);
        let emf = Emf { every: Time::from_secs(1), namespace: String::new(), ..Emf::default() };
        let export = Export { emf: Some(emf), otlp: None };
        assert_eq!(fields(&Alerts::default(), &cost, &export), ["export.emf.every", "export.emf.namespace"]);
    }
}
