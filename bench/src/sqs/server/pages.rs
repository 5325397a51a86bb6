//! The server's own pages, for whoever drives it over HTTP: counts, ledger, faults.

use super::{Worker, stats};
use crate::sqs::faults::{FaultPlan, Faults};
use crate::sqs::{http, message};

impl Worker {
    /// The server's own pages: `/_stats`, `/_ledger?from=N`, `PUT /_faults`.
    pub(super) fn own_page(&self, request: &http::Request, body: &[u8]) -> (u16, Vec<u8>) {
        let mut state = self.shared.state();
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        match (request.method.as_str(), path) {
            ("GET", "/_stats") => {
                let stats = stats(&state);
                (
                    200,
                    serde_json::json!({ "calls": stats.calls, "fault_hits": stats.fault_hits })
                        .to_string()
                        .into_bytes(),
                )
            }
            ("GET", "/_ledger") => {
                let from = query.strip_prefix("from=").and_then(|from| from.parse().ok()).unwrap_or(0);
                let lines = state.ledger.events().get(from..).unwrap_or_default().iter().map(|event| {
                    let id = message::uuid(event.id);
                    serde_json::json!({ "at_ns": event.at_ns, "kind": event.kind.as_str(), "id": id, "count": event.count }).to_string() + "\n"
                });
                (200, lines.collect::<String>().into_bytes())
            }
            ("PUT", "/_faults") => match serde_json::from_slice::<FaultPlan>(body) {
                Ok(plan) => {
                    state.faults = Faults::new(plan);
                    (200, b"{}".to_vec())
                }
                Err(error) => {
                    (400, serde_json::json!({ "error": error.to_string() }).to_string().into_bytes())
                }
            },
            _ => (
                404,
                b"{\"error\":\"post an action of the AWS JSON 1.0 protocol, or GET /_stats, /_ledger\"}"
                    .to_vec(),
            ),
        }
    }
}
