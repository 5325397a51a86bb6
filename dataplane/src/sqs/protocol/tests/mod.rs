//! Claims about the codec: against serde_json, against golden answers and against the SDK.

mod decoding;
mod unescaping;
