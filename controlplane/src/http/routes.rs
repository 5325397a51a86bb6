//! The routes: health, metrics, snapshot, page; and the rules that hold for all of them.
//!
//! No authentication, therefore: loopback only (the config refuses else), only `GET` and `HEAD`, and only for
//! requests that name this machine, so that a web page elsewhere cannot read through a visitor's browser.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::page;
use crate::board::Board;
use crate::health::{self, Check};
use crate::{metrics, snapshot};

/// Largest body of a request that is let in at all; no route reads one.
const BODY_BYTES_MAX: u64 = 64 << 10;

/// On every answer. Source: OWASP secure headers.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
];

/// All routes over a board.
pub(super) fn router(board: Arc<Board>) -> Router {
    Router::new()
        .route("/", get(front))
        .route("/style.css", get(style))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/healthz", get(live))
        .route("/metrics", get(scrape))
        .route("/snapshot", get(figures))
        .fallback(async || (StatusCode::NOT_FOUND, "not found\n"))
        .layer(middleware::from_fn(rules))
        .with_state(board)
}

/// What holds for every request and every answer.
async fn rules(request: Request, next: Next) -> Response {
    let mut response = match refusal(&request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().insert(name, value);
    }
    response
}

fn refusal(request: &Request) -> Option<Response> {
    let headers = request.headers();
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n").into_response();
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(response);
    }
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Some((StatusCode::PAYLOAD_TOO_LARGE, "no route takes a body\n").into_response());
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(is_this_machine) {
        return Some(
            (StatusCode::MISDIRECTED_REQUEST, "the Host header names no loopback address\n").into_response(),
        );
    }
    None
}

/// `localhost`, `127.0.0.1:8080`, `[::1]:8080`. Another name that leads here may be a rebound DNS name.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn live(State(board): State<Arc<Board>>, RawQuery(query): RawQuery) -> Response {
    answer(&health::live(&board.view()), query.as_deref())
}

async fn ready(State(board): State<Arc<Board>>, RawQuery(query): RawQuery) -> Response {
    answer(&health::ready(&board.view()), query.as_deref())
}

/// Status by the checks that are not excluded; reasons always, the rest with `?verbose`. The form is Kubernetes'.
fn answer(checks: &[Check], query: Option<&str>) -> Response {
    let parameters: Vec<&str> = query.unwrap_or_default().split('&').collect();
    let excluded: HashSet<&str> =
        parameters.iter().filter_map(|parameter| parameter.strip_prefix("exclude=")).collect();
    let verbose = parameters.iter().any(|parameter| parameter.split('=').next() == Some("verbose"));
    let bad = health::troubles(checks, &excluded);
    if bad.is_empty() && !verbose {
        return "ok\n".into_response();
    }
    let mut text = String::new();
    for check in checks {
        let excluded = excluded.contains(check.name.as_str());
        let _ = match &check.trouble {
            _ if excluded && verbose => writeln!(text, "[+]{} excluded: ok", check.name),
            Some(trouble) if !excluded => writeln!(text, "[-]{}: {trouble}", check.name),
            None if verbose => writeln!(text, "[+]{} ok", check.name),
            _ => Ok(()),
        };
    }
    let (status, word) =
        if bad.is_empty() { (StatusCode::OK, "passed") } else { (StatusCode::SERVICE_UNAVAILABLE, "failed") };
    let _ = writeln!(text, "check {word}");
    (status, text).into_response()
}

async fn scrape(State(board): State<Arc<Board>>) -> Response {
    match metrics::text(board.view()) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written\n").into_response(),
    }
}

/// `?histograms` adds the histograms themselves, some kilobytes each.
async fn figures(State(board): State<Arc<Board>>, RawQuery(query): RawQuery) -> Response {
    let view = board.view();
    let mut document = snapshot::take(&view);
    if query.is_some_and(|query| query.split('&').any(|part| part == "histograms")) {
        document.add_histograms(&view);
    }
    axum::Json(document).into_response()
}

async fn front(State(board): State<Arc<Board>>) -> Response {
    axum::response::Html(page::draw(&snapshot::take(&board.view()))).into_response()
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], page::STYLE).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;

    use super::*;
    use crate::board::Phase;
    use crate::board::fixture::running;

    struct Answer {
        status: u16,
        headers: axum::http::HeaderMap,
        text: String,
    }

    fn ask_with(board: Arc<Board>, path: &str, change: impl FnOnce(&mut Request)) -> Answer {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut request =
                Request::builder().uri(path).header("host", "127.0.0.1:1").body(Body::empty()).unwrap();
            change(&mut request);
            let response = TowerToHyperService::new(router(board)).call(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let bytes = to_bytes(body, 1 << 20).await.unwrap();
            Answer {
                status: parts.status.as_u16(),
                headers: parts.headers,
                text: String::from_utf8(bytes.to_vec()).unwrap(),
            }
        })
    }

    fn ask(board: &Arc<Board>, path: &str) -> Answer {
        ask_with(Arc::clone(board), path, |_| {})
    }

    #[test]
    fn a_draining_appliance_is_alive_and_not_ready() {
        let board = Arc::new(running());
        assert_eq!((ask(&board, "/readyz").status, ask(&board, "/readyz").text.as_str()), (200, "ok\n"));
        board.enter(Phase::Draining);
        let answer = ask(&board, "/readyz");
        assert_eq!(answer.status, 503);
        assert_eq!(answer.text, "[-]phase: draining: no new messages are received\ncheck failed\n");
        assert_eq!(ask(&board, "/livez").status, 200);
        assert_eq!(ask(&board, "/healthz").status, 200);
    }

    #[test]
    fn verbose_lists_all_and_exclude_leaves_one_out() {
        let board = Arc::new(running());
        let text = ask(&board, "/readyz?verbose").text;
        assert!(text.contains("[+]pipeline-orders ok\n") && text.ends_with("check passed\n"), "{text}");
        board.trouble("orders", Some("no AWS credentials"));
        assert!(ask(&board, "/readyz").text.contains("[-]pipeline-orders: no AWS credentials\n"));
        assert_eq!(ask(&board, "/readyz?exclude=pipeline-orders").status, 200);
    }

    #[test]
    fn every_route_answers_with_the_security_headers() {
        let board = Arc::new(running());
        for path in ["/", "/style.css", "/livez", "/readyz", "/healthz", "/metrics", "/snapshot", "/nowhere"]
        {
            let answer = ask(&board, path);
            assert_eq!(answer.status, if path == "/nowhere" { 404 } else { 200 }, "{path}");
            for (name, value) in SECURITY_HEADERS {
                assert_eq!(answer.headers.get(&name), Some(&value), "{path} {name}");
            }
        }
    }

    #[test]
    fn metrics_and_snapshot_say_what_they_are() {
        let board = Arc::new(running());
        let metrics = ask(&board, "/metrics");
        assert_eq!(metrics.headers["content-type"], metrics::CONTENT_TYPE);
        assert!(metrics.text.ends_with("# EOF\n"));
        let snapshot = ask(&board, "/snapshot");
        assert_eq!(snapshot.headers["content-type"], "application/json");
        assert!(!snapshot.text.contains("\"histograms\""));
        let whole: serde_json::Value =
            serde_json::from_str(&ask(&board, "/snapshot?histograms").text).unwrap();
        assert!(whole["pipelines"][0]["histograms"]["received_to_acked"].is_string());
        let json: serde_json::Value = serde_json::from_str(&snapshot.text).unwrap();
        assert_eq!(json["law"]["unaccounted"], 0);
    }

    #[test]
    fn what_is_no_reading_of_this_machine_is_refused() {
        let board = Arc::new(running());
        let post = ask_with(Arc::clone(&board), "/readyz", |request| *request.method_mut() = Method::POST);
        assert_eq!(post.status, 405);
        assert_eq!(post.headers["allow"], "GET, HEAD");
        let large = ask_with(Arc::clone(&board), "/readyz", |request| {
            request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("65537"));
        });
        assert_eq!(large.status, 413);
        for (host, status) in
            [("evil.example", 421), ("localhost:8080", 200), ("[::1]:8080", 200), ("10.0.0.1", 421)]
        {
            let answer = ask_with(Arc::clone(&board), "/livez", |request| {
                request.headers_mut().insert(header::HOST, HeaderValue::from_static(host));
            });
            assert_eq!(answer.status, status, "{host}");
        }
    }
}
