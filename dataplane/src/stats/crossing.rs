//! Histograms as they cross a socket: each stage that has values in HdrHistogram's V2 encoding, in base64.
//!
//! Level 1, pure. Nothing is lost on the way, and a peer cannot make this side allocate more than the usual bounds: the
//! head of an encoding is compared before its values are read.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};
use serde::de::Error as _;
use serde::{Deserialize, Serialize};

use super::latency::{Latency, STAGES, Stage};

/// Bytes of an encoding before its values. Source: HdrHistogram's V2 format.
const HEAD_BYTES: usize = 40;
/// Where the bounds begin: after the cookie, the payload's length and the normalising offset.
const BOUNDS_AT: usize = 12;
/// Longest encoding that the usual bounds can have: nine bytes for each of their values.
const ENCODED_BYTES_MAX: usize = 1 << 20;

impl Serialize for Latency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let used = STAGES.into_iter().filter(|stage| !self.stage(*stage).is_empty());
        serializer.collect_map(used.map(|stage| (stage, STANDARD.encode(encode(self.stage(stage))))))
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Latency, D::Error> {
        let by_stage = HashMap::<Stage, String>::deserialize(deserializer)?;
        let mut latency = Latency::new();
        for (stage, text) in by_stage {
            let histogram = decode(&text, latency.stage(stage))
                .map_err(|error| D::Error::custom(format!("the histogram of {}: {error}", stage.as_str())))?;
            latency.add_to(stage, &histogram);
        }
        Ok(latency)
    }
}

fn encode(histogram: &Histogram<u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    #[allow(clippy::expect_used, reason = "a vector takes what is written, and the bounds are encodable")]
    V2Serializer::new().serialize(histogram, &mut bytes).expect("written to memory");
    bytes
}

/// Reads an encoding that has the bounds of `like`.
fn decode(text: &str, like: &Histogram<u64>) -> Result<Histogram<u64>, String> {
    if text.len() > ENCODED_BYTES_MAX {
        return Err(format!("longer than {ENCODED_BYTES_MAX} bytes"));
    }
    let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
    let usual = encode(&Histogram::new_from(like));
    if bytes.len() < HEAD_BYTES || bytes[BOUNDS_AT..HEAD_BYTES] != usual[BOUNDS_AT..HEAD_BYTES] {
        return Err("its bounds are not those of this version".to_owned());
    }
    Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency() -> Latency {
        let mut latency = Latency::new();
        latency.record(Stage::ReceivedToAcked, 5_000, 10);
        latency.record(Stage::ReceivedToAcked, 9_000_000, 1);
        latency.record(Stage::Decode, 7, 1_000_000);
        latency
    }

    #[test]
    fn every_value_crosses() {
        let sent = latency();
        let text = serde_json::to_string(&sent).unwrap();
        assert!(text.len() < 2_000, "only what has values travels: {} bytes", text.len());
        let read: Latency = serde_json::from_str(&text).unwrap();
        for stage in STAGES {
            assert_eq!(read.stage(stage), sent.stage(stage), "{stage:?}");
        }
    }

    #[test]
    fn other_bounds_and_broken_texts_are_refused() {
        let refused = |text: &str| serde_json::from_str::<Latency>(text).unwrap_err().to_string();
        let wide = Histogram::<u64>::new_with_bounds(1, u64::MAX / 4, 5).unwrap();
        let wide = format!("{{\"decode\":\"{}\"}}", STANDARD.encode(encode(&wide)));
        assert!(refused(&wide).contains("bounds"), "{}", refused(&wide));
        assert!(refused(r#"{"decode":"HISTFAA"}"#).contains("decode"));
        assert!(refused(r#"{"decode":""}"#).contains("bounds"));
        assert!(refused(r#"{"nowhere":""}"#).contains("nowhere"));
        let mut cut = encode(latency().stage(Stage::ReceivedToAcked));
        cut.truncate(HEAD_BYTES + 1);
        assert!(!refused(&format!("{{\"decode\":\"{}\"}}", STANDARD.encode(cut))).is_empty());
    }
}
