//! Deliveries against a receiver that answers as it is told.

use std::collections::BTreeMap;

use dataplane::config::{SecretRef, Webhook};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::watch::alerts::{Alert, AlertState, Key};

/// A notice about a pipeline.
pub(super) fn notice(kind: NoticeKind) -> Notice {
    let key = Key { rule: "breaker-open".to_owned(), subject: "orders".to_owned() };
    let alert = Alert {
        key,
        state: AlertState::Firing,
        severity: Severity::Page,
        summary: "Receiving has stopped.".to_owned(),
        description: "pipeline orders: breaker_open is 1".to_owned(),
        value: Some(1.0),
        since_ms: 1,
        resolved_ms: None,
        labels: BTreeMap::new(),
        runbook: "docs/runbooks/breaker-open.md".to_owned(),
        acknowledged: None,
        silenced_by: Vec::new(),
    };
    Notice { kind, at_ms: 2, alert }
}

/// Answers each connection with the next of these, and returns the requests.
async fn answer(listener: TcpListener, answers: Vec<&'static str>) -> Vec<String> {
    let mut requests = Vec::new();
    for answer in answers {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let count = stream.read(&mut buffer).await.unwrap();
            request.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&request);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0_usize) {
                break;
            }
        }
        let text =
            format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nlocation: http://169.254.169.254/\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        requests.push(String::from_utf8_lossy(&request).into_owned());
    }
    requests
}

async fn hook() -> (TcpListener, Way, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "0123456789abcdef0123456789abcdef").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Webhook {
        name: "ops".to_owned(),
        url: format!("http://{}/hook", listener.local_addr().unwrap()),
        secret: SecretRef::File(file),
        allow_http: false,
        pages_only: false,
    };
    let hook = Hook::new(&config).unwrap();
    (listener, Way::Hook(hook), folder)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Runs a worker over one notice against these answers.
fn deliver(answers: Vec<&'static str>) -> (Vec<String>, Deliveries) {
    block_on(async {
        let (listener, way, _folder) = hook().await;
        let deliveries = Arc::new(Mutex::new(Deliveries::default()));
        let (queue, waiting) = mpsc::channel(1);
        queue.send(notice(NoticeKind::Firing)).await.unwrap();
        drop(queue);
        let working = work("ops".to_owned(), way, waiting, Arc::clone(&deliveries), Duration::from_millis(1));
        let (requests, ()) = tokio::join!(answer(listener, answers), working);
        let deliveries = deliveries.lock().unwrap().clone();
        (requests, deliveries)
    })
}

#[test]
fn a_notice_arrives_signed_and_whole() {
    let (requests, deliveries) = deliver(vec!["204 No Content"]);
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {head}")).split_once(": ").unwrap().1.to_owned()
    };
    assert!(head.starts_with("POST /hook HTTP/1.1"), "{head}");
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"0123456789abcdef0123456789abcdef");
    let signed = format!("{}.{body}", header("millrace-timestamp"));
    let hex = header("millrace-signature").strip_prefix("v1=").unwrap().to_owned();
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    ring::hmac::verify(&key, signed.as_bytes(), &bytes).unwrap();
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["kind"], "firing");
    assert_eq!(json["alert"]["rule"], "breaker-open");
    assert_eq!(json["alert"]["runbook"], "docs/runbooks/breaker-open.md");
    assert_eq!((deliveries.delivered, deliveries.failed, deliveries.failed_in_a_row), (1, 0, 0));
    assert!(deliveries.last_delivered_ms.is_some());
}

#[test]
fn a_passing_failure_is_tried_again_as_the_same_delivery() {
    let (requests, deliveries) = deliver(vec!["503 Busy", "429 Slow", "200 OK"]);
    assert_eq!((deliveries.delivered, deliveries.retried, deliveries.failed), (1, 2, 0));
    let delivery = |request: &String| {
        request.lines().find(|line| line.to_lowercase().starts_with("millrace-delivery")).unwrap().to_owned()
    };
    assert!(requests.iter().all(|request| delivery(request) == delivery(&requests[0])));
}

#[test]
fn a_receiver_that_stays_broken_is_given_up_and_shown() {
    let (_, deliveries) = deliver(vec!["500 Broken"; TRIES_MAX as usize]);
    assert_eq!(
        (deliveries.failed, deliveries.failed_in_a_row, deliveries.retried),
        (1, 1, u64::from(TRIES_MAX) - 1)
    );
    assert!(deliveries.last_error.unwrap().contains("500"));
}

#[test]
fn a_redirect_is_not_followed_and_not_tried_again() {
    let (requests, deliveries) = deliver(vec!["307 Elsewhere"]);
    assert_eq!((requests.len(), deliveries.failed, deliveries.retried), (1, 1, 0));
    assert!(deliveries.last_error.unwrap().contains("redirects are not followed"));
}

#[test]
fn a_receiver_that_never_answers_fills_its_own_queue_only() {
    block_on(async {
        let (listener, way, _folder) = hook().await;
        let mut notifiers = Notifiers::default();
        notifiers.add("ops", true, way);
        for _ in 0..QUEUE_MAX + 3 {
            notifiers.tell(&notice(NoticeKind::Firing));
        }
        let shown = &notifiers.shown()[0];
        assert_eq!((shown.kind, shown.deliveries.dropped), ("webhook", 3));
        assert_eq!(notifiers.failed_in_a_row(), 3);
        drop(listener);
    });
}

#[test]
fn a_receiver_of_pages_is_not_told_tickets_but_tests() {
    block_on(async {
        let (_listener, way, _folder) = hook().await;
        let (queue, mut waiting) = mpsc::channel(8);
        drop(way);
        let deliveries = Arc::default();
        let receiver =
            Receiver { name: "ops".to_owned(), kind: "webhook", pages_only: true, queue, deliveries };
        let notifiers = Notifiers { receivers: vec![receiver] };
        for kind in [NoticeKind::Firing, NoticeKind::Test] {
            let mut ticket = notice(kind);
            ticket.alert.severity = Severity::Ticket;
            notifiers.tell(&ticket);
        }
        notifiers.tell(&notice(NoticeKind::Resolved));
        let kinds = [waiting.try_recv().unwrap().kind, waiting.try_recv().unwrap().kind];
        assert_eq!(kinds, [NoticeKind::Test, NoticeKind::Resolved]);
        assert!(waiting.try_recv().is_err());
    });
}

#[test]
fn pauses_double_up_to_a_minute() {
    for (tries, most) in [(1, 1), (2, 2), (5, 16), (7, 60), (40, 60)] {
        let most = Duration::from_secs(most);
        let pause = wait(PAUSE, tries);
        assert!(pause <= most && pause >= most / 2, "{tries}: {pause:?}");
    }
}
