//! The cost meter: what SQS bills for each queue, by operation, for each message and for each day.
//!
//! Pure. SQS bills a request for every 64 KiB of payload begun; the shards count those. Calls that SQS refused or that
//! never reached it are left out: whether they are billed is not documented. Senders' requests are not ours to see.

use dataplane::config::Cost;
use serde::Serialize;
use utoipa::ToSchema;

use super::flows::{Flow, flow_index};

/// Milliseconds of a day.
const DAY_MS: f64 = 86_400_000.0;

/// Billed requests by operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = BilledRequests)]
pub(crate) struct Requests {
    /// ReceiveMessage, in chunks of 64 KiB.
    pub(crate) receive: u64,
    /// DeleteMessageBatch.
    pub(crate) delete: u64,
    /// ChangeMessageVisibilityBatch that extended leases.
    pub(crate) extend: u64,
    /// ChangeMessageVisibilityBatch that gave messages back.
    pub(crate) release: u64,
    /// GetQueueAttributes of the control plane.
    pub(crate) attributes: u64,
}

impl Requests {
    /// All of them.
    pub(crate) fn total(&self) -> u64 {
        self.receive + self.delete + self.extend + self.release + self.attributes
    }

    /// Each operation with its count.
    pub(crate) fn each(&self) -> [(&'static str, u64); 5] {
        [
            ("receive", self.receive),
            ("delete", self.delete),
            ("extend", self.extend),
            ("release", self.release),
            ("attributes", self.attributes),
        ]
    }
}

/// What happened on one queue within a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Billed requests.
    pub(crate) requests: Requests,
    /// ReceiveMessage calls, however large.
    pub(crate) receives: u64,
    /// Those that brought nothing.
    pub(crate) empty_receives: u64,
    /// Messages that were finished: delivered, rejected or filtered.
    pub(crate) finished: u64,
    /// Length of the span, as far as it is known.
    pub(crate) covers_ms: u64,
}

impl Usage {
    /// Reads a growth of flows.
    pub(crate) fn of(flow: &Flow, attributes: u64, covers_ms: u64) -> Usage {
        let one = |name: &str| flow_index(name).map_or(0, |index| flow[index]);
        Usage {
            requests: Requests {
                receive: one("receive_chunks"),
                delete: one("deletes"),
                extend: one("extends"),
                release: one("release_calls"),
                attributes,
            },
            receives: one("receives"),
            empty_receives: one("empty_receives"),
            finished: one("delivered") + one("rejected") + one("filtered"),
            covers_ms,
        }
    }
}

/// Kind of a queue, which decides its price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum QueueKind {
    /// Its URL does not end with `.fifo`.
    Standard,
    /// It does.
    Fifo,
}

impl QueueKind {
    /// The kind of a queue by its URL. Source: CreateQueue, "FIFO queue names must end with the .fifo suffix".
    pub(crate) fn of_url(url: &str) -> QueueKind {
        if url.ends_with(".fifo") { QueueKind::Fifo } else { QueueKind::Standard }
    }
}

/// Price of a million requests, US dollars.
pub(crate) fn usd_per_million(prices: &Cost, kind: QueueKind) -> f64 {
    match kind {
        QueueKind::Standard => prices.standard_usd_per_million,
        QueueKind::Fifo => prices.fifo_usd_per_million,
    }
}

/// What a span of one queue cost. What cannot be told is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Bill {
    /// Billed requests by operation.
    pub(crate) requests: Requests,
    /// All billed requests.
    pub(crate) requests_total: u64,
    /// Billed requests for each finished message.
    pub(crate) requests_per_message: Option<f64>,
    /// Share of receives that brought nothing, 0 to 1.
    pub(crate) empty_receives_ratio: Option<f64>,
    /// Receives that were billed more than once because of their size.
    pub(crate) extra_chunks: u64,
    /// Price of the span, US dollars.
    pub(crate) usd: f64,
    /// Price of a million finished messages at this ratio.
    pub(crate) usd_per_million_messages: Option<f64>,
    /// Price of a day at this rate.
    pub(crate) usd_per_day: Option<f64>,
    /// Billed requests a minute at this rate.
    pub(crate) requests_per_minute: Option<f64>,
    /// Length of the span, as far as it is known, milliseconds.
    pub(crate) covers_ms: u64,
}

/// Makes the bill.
pub(crate) fn bill(usage: &Usage, usd_per_million: f64) -> Bill {
    let total = usage.requests.total();
    let usd = total as f64 * usd_per_million / 1e6;
    let per = |dividend: f64, divisor: u64| (divisor > 0).then(|| dividend / divisor as f64);
    Bill {
        requests: usage.requests,
        requests_total: total,
        requests_per_message: per(total as f64, usage.finished),
        empty_receives_ratio: per(usage.empty_receives as f64, usage.receives),
        extra_chunks: usage.requests.receive.saturating_sub(usage.receives),
        usd,
        usd_per_million_messages: per(usd * 1e6, usage.finished),
        usd_per_day: per(usd * DAY_MS, usage.covers_ms),
        requests_per_minute: per(total as f64 * 60_000.0, usage.covers_ms),
        covers_ms: usage.covers_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::super::flows::FLOW_COUNT;
    use super::*;

    fn usage() -> Usage {
        let mut flow = [0; FLOW_COUNT];
        for (name, count) in [
            ("receives", 110),
            ("empty_receives", 10),
            ("receive_chunks", 150),
            ("deletes", 100),
            ("extends", 5),
            ("release_calls", 2),
            ("delivered", 990),
            ("rejected", 9),
            ("filtered", 1),
        ] {
            flow[flow_index(name).unwrap()] = count;
        }
        Usage::of(&flow, 3, 60_000)
    }

    #[test]
    fn a_minute_is_billed_by_chunks_and_operations() {
        let bill = bill(&usage(), 0.40);
        assert_eq!(bill.requests_total, 150 + 100 + 5 + 2 + 3);
        assert_eq!(bill.requests.each().map(|(_, count)| count).iter().sum::<u64>(), bill.requests_total);
        assert_eq!(bill.extra_chunks, 40);
        assert_eq!(bill.requests_per_message, Some(0.26));
        assert!((bill.empty_receives_ratio.unwrap() - 10.0 / 110.0).abs() < 1e-12);
        assert!((bill.usd - 260.0 * 0.40 / 1e6).abs() < 1e-12);
        // 0.26 requests a message at 0.40 USD a million requests.
        assert!((bill.usd_per_million_messages.unwrap() - 0.104).abs() < 1e-9);
        assert!((bill.usd_per_day.unwrap() - 260.0 * 1_440.0 * 0.40 / 1e6).abs() < 1e-9);
        assert_eq!(bill.requests_per_minute, Some(260.0));
    }

    #[test]
    fn what_did_not_happen_has_no_ratio() {
        let bill = bill(&Usage::default(), 0.40);
        assert_eq!((bill.usd, bill.requests_per_message, bill.usd_per_day), (0.0, None, None));
        assert_eq!((bill.empty_receives_ratio, bill.usd_per_million_messages), (None, None));
    }

    #[test]
    fn a_fifo_queue_has_its_own_price() {
        let prices = Cost::default();
        let kind = QueueKind::of_url("https://sqs.eu-west-1.amazonaws.com/1/orders.fifo");
        assert_eq!(kind, QueueKind::Fifo);
        assert_eq!(QueueKind::of_url("https://sqs.eu-west-1.amazonaws.com/1/fifo"), QueueKind::Standard);
        assert!(usd_per_million(&prices, kind) > usd_per_million(&prices, QueueKind::Standard));
    }
}
