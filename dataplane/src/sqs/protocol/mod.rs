//! The wire format of SQS's three hot calls: AWS JSON 1.0.
//!
//! Level 1, pure. Source: SQS API reference, and the AWS JSON 1.0 protocol of Smithy.

pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod results;
mod scan;
pub(crate) mod unescape;
mod unescape_simd;

#[cfg(test)]
mod tests;

/// An answer that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DecodeError {
    /// Stable code, for example `json_truncated`.
    pub code: &'static str,
    /// Byte offset at which reading stopped.
    pub at: usize,
}
