//! The headers that tell why a message lies in the dead-letter topic.
//!
//! Level 1, pure.

use crate::error::Rejection;

/// Names and values of the reason headers, in the order in which they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reasons {
    pairs: Vec<(&'static str, Vec<u8>)>,
}

impl Reasons {
    /// Reasons for one message. `attempts` counts what was tried with it, `now_ms` is wall time.
    pub(crate) fn new(
        rejection: &Rejection,
        pipeline: &str,
        queue_url: &str,
        attempts: u32,
        now_ms: u64,
    ) -> Reasons {
        let text = |text: &str| text.as_bytes().to_vec();
        Reasons {
            pairs: vec![
                ("millrace.reason", text(&rejection.reason)),
                ("millrace.stage", text(rejection.stage)),
                ("millrace.code", text(rejection.code)),
                ("millrace.attempts", text(&attempts.to_string())),
                ("millrace.queue", text(queue_url)),
                ("millrace.pipeline", text(pipeline)),
                ("millrace.time", text(&now_ms.to_string())),
            ],
        }
    }

    /// The headers as the producer takes them.
    pub(crate) fn headers(&self) -> Vec<(&str, &[u8])> {
        self.pairs.iter().map(|(name, value)| (*name, value.as_slice())).collect()
    }
}
