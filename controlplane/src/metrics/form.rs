//! The forms of `/metrics`: text unless the reader prefers protobuf, which alone can carry native histograms.

use axum::http::{HeaderMap, header};

const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// A form of `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// OpenMetrics 1.0.
    Text,
    /// Prometheus' messages, each after its length.
    Protobuf,
}

impl Form {
    /// The form that a reader prefers. Source: RFC 9110, section 12.5.1; Prometheus, "Content negotiation".
    pub(crate) fn preferred(headers: &HeaderMap) -> Form {
        let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let (mut protobuf, mut text) = (0.0, 0.0);
        for range in accept.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let parameters: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
            let weight = parameters.iter().find_map(|one| one.strip_prefix("q="));
            let weight: f64 = weight.map_or(Ok(1.0), str::parse).unwrap_or(0.0);
            let says = |parameter: &str| parameters.iter().any(|one| one == parameter);
            match kind.as_str() {
                "application/vnd.google.protobuf"
                    if says("proto=io.prometheus.client.metricfamily") && says("encoding=delimited") =>
                {
                    protobuf = f64::max(protobuf, weight);
                }
                "application/openmetrics-text" | "text/plain" => text = f64::max(text, weight),
                _ => {}
            }
        }
        if protobuf > text { Form::Protobuf } else { Form::Text }
    }

    /// What an answer says about its form.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Form::Text => TEXT,
            Form::Protobuf => PROTOBUF,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const DELIMITED: &str =
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

    fn preferred(accept: &str) -> Form {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        Form::preferred(&headers)
    }

    #[test]
    fn protobuf_is_for_who_prefers_it_and_text_for_everybody_else() {
        // As Prometheus asks with and without native histograms.
        let with = format!(
            "{DELIMITED};q=0.7,application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.3,*/*;q=0.2"
        );
        let without = format!(
            "application/openmetrics-text;version=1.0.0;q=0.6,{DELIMITED};q=0.5,text/plain;q=0.3,*/*;q=0.2"
        );
        assert_eq!(preferred(&with), Form::Protobuf);
        assert_eq!(preferred(&without), Form::Text);
        assert_eq!(preferred(DELIMITED), Form::Protobuf);
        assert_eq!(preferred("*/*"), Form::Text);
        assert_eq!(preferred("application/vnd.google.protobuf;proto=other;encoding=delimited"), Form::Text);
        assert_eq!(preferred(&format!("{DELIMITED};q=x")), Form::Text);
        assert_eq!(Form::preferred(&HeaderMap::new()), Form::Text);
    }
}
