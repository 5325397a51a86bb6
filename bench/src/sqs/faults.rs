//! Seeded faults: which calls go wrong, and how.
//!
//! A plan is a list of rules; the first that matches a call decides. The same seed and the same calls give
//! the same faults.

use serde::Deserialize;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The answer comes later.
    LatencyMs(u64),
    /// A refusal with this status and code; nothing is done.
    Error {
        /// HTTP status.
        status: u16,
        /// Code without namespace.
        code: String,
    },
    /// An HTML page of a proxy; nothing is done.
    Html(u16),
    /// A body of nothing, with this status; nothing is done.
    Empty(u16),
    /// The connection is closed; nothing is done.
    DropBefore,
    /// The call is done, then the connection is closed.
    DropAfter,
    /// The call is done, and the answer is cut after so many bytes.
    CutAfter(usize),
    /// The call is done, and its JSON ends early, with a matching Content-Length.
    TruncateJson,
    /// The call is done, and Content-Length promises more than comes.
    WrongLength,
    /// Received messages get a wrong MD5OfBody.
    BadMd5,
    /// The first so many entries of a batch are refused, and not done.
    FailEntries {
        /// How many.
        count: usize,
        /// Code of each.
        code: String,
        /// `SenderFault` of each.
        sender_fault: bool,
    },
    /// The first so many entries of a batch are done, the others not, and the call is never answered: what a
    /// client meets that dies in the middle of a batch.
    ApplyFirst {
        /// How many.
        count: usize,
    },
    /// Received messages become visible again at once: duplicates.
    Redeliver,
    /// `{"Messages":null}`; nothing is handed out.
    NullMessages,
    /// Received messages lack their receipt handle.
    NoHandle,
    /// Received bodies end in an escaped lone surrogate.
    LoneSurrogate,
    /// The call is done and never answered.
    NeverAnswer,
    /// A redirect to another host; nothing is done.
    Redirect,
    /// The error comes as XML although JSON was asked for.
    XmlError {
        /// HTTP status.
        status: u16,
        /// Query-protocol code.
        code: String,
    },
    /// The error comes in the header only.
    HeaderError {
        /// HTTP status.
        status: u16,
        /// Query-protocol code.
        code: String,
    },
}

/// When what goes wrong.
#[derive(Clone, Debug, Deserialize)]
pub struct Rule {
    /// Action of SQS, for example `ReceiveMessage`; `*` for all.
    pub operation: String,
    /// Chance of each call, 0 to 1.
    #[serde(default = "always")]
    pub chance: f64,
    /// Calls of this operation that pass before the rule begins.
    #[serde(default)]
    pub skip: u64,
    /// Most hits; 0 for no limit.
    #[serde(default)]
    pub hits_max: u64,
    /// What goes wrong.
    pub action: Action,
}

fn always() -> f64 {
    1.0
}

impl Rule {
    /// A rule that hits every call of an operation.
    pub fn always(operation: &str, action: Action) -> Rule {
        Rule { operation: operation.to_owned(), chance: 1.0, skip: 0, hits_max: 0, action }
    }

    /// The same, for so many calls at most.
    pub fn times(operation: &str, hits_max: u64, action: Action) -> Rule {
        Rule { hits_max, ..Rule::always(operation, action) }
    }
}

/// A seeded list of rules.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct FaultPlan {
    /// Seed of the chances.
    #[serde(default)]
    pub seed: u64,
    /// Rules, the first match decides.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// A plan at work.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    plan: FaultPlan,
    seen: Vec<u64>,
    hits: Vec<u64>,
    state: u64,
}

impl Faults {
    pub(crate) fn new(plan: FaultPlan) -> Faults {
        Faults { seen: vec![0; plan.rules.len()], hits: vec![0; plan.rules.len()], state: plan.seed, plan }
    }

    /// How often each rule has hit.
    pub(crate) fn hits(&self) -> &[u64] {
        &self.hits
    }

    /// What happens to a call.
    pub(crate) fn choose(&mut self, operation: &str) -> Option<Action> {
        for (index, rule) in self.plan.rules.iter().enumerate() {
            if rule.operation != "*" && rule.operation != operation {
                continue;
            }
            self.seen[index] += 1;
            let over = rule.hits_max > 0 && self.hits[index] >= rule.hits_max;
            if self.seen[index] <= rule.skip || over {
                continue;
            }
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let draw = ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
            if draw < rule.chance {
                self.hits[index] += 1;
                return Some(rule.action.clone());
            }
        }
        None
    }
}
