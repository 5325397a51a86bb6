//! The routes: health, metrics, snapshot, page; and the rules that hold for them and for the API.
//!
//! Health, metrics, snapshot and page need no token on this machine; from elsewhere only health answers, without
//! reasons, to who has none. Every request must name this machine, so that a web page elsewhere cannot read
//! through a visitor's browser.

use std::collections::HashSet;
use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{RawQuery, Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use tokio::time::timeout;

use super::{Peer, page};
use crate::api::{self, Code, Ctx, Problem};
use crate::dashboard::{self, Dashboard, Served};
use crate::health::{self, Check};
use crate::metrics::Form;
use crate::{metrics, snapshot};

/// Largest body of a request: a configuration.
const BODY_BYTES_MAX: u64 = (4 << 20) + (64 << 10);
/// Time for a request and the head of its answer, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Where the API begins.
const API: &str = "/api/";
/// What probes ask.
const HEALTH: [&str; 3] = ["/livez", "/readyz", "/healthz"];

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
/// Headers that proxies set.
const FORWARDING: [&str; 3] = ["x-forwarded-for", "forwarded", "via"];
/// On every encrypted answer: a year. Source: RFC 6797.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// All routes.
pub(super) fn router(ctx: Ctx) -> Router {
    router_with(ctx, Dashboard::embedded())
}

fn router_with(ctx: Ctx, dashboard: Dashboard) -> Router {
    let open = Router::new()
        .route("/", get(front))
        .route("/ui", get(dashboard::show))
        .route("/ui/", get(dashboard::show))
        .route("/ui/{*place}", get(dashboard::show))
        .route("/assets/{*file}", get(dashboard::file))
        .route("/plain", get(plain))
        .route("/style.css", get(style))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/healthz", get(live))
        .route("/metrics", get(scrape))
        .route("/snapshot", get(figures))
        .layer(Extension(dashboard))
        .with_state(ctx.clone());
    open.merge(api::router(&ctx)).fallback(nowhere).layer(middleware::from_fn_with_state(ctx, rules))
}

async fn nowhere(request: Request) -> Response {
    if request.uri().path().starts_with(API) {
        return Problem::new(Code::NotFound, "there is no such route; see /api/v1/openapi.json")
            .into_response();
    }
    (StatusCode::NOT_FOUND, "not found\n").into_response()
}

/// What holds for every request and every answer.
async fn rules(State(ctx): State<Ctx>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().cloned().unwrap_or_else(Peer::here);
    request.extensions_mut().insert(peer.clone());
    request.extensions_mut().insert(ctx.clone());
    let is_api = request.uri().path().starts_with(API);
    let mut response = match refusal(&ctx, &peer, &request, is_api) {
        Some(problem) => {
            let mut response = refused(problem, is_api);
            // Whatever follows on this connection is read by nobody.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            response
        }
        None => match timeout(REQUEST_TIMEOUT, next.run(request)).await {
            Ok(response) => response,
            Err(_) => refused(Problem::new(Code::Timeout, "the request took longer than 30 s"), is_api),
        },
    };
    if is_api {
        response = Problem::instead_of_bare(response);
    }
    let is_dashboard = response.extensions().get::<Served>().is_some();
    for (name, value) in SECURITY_HEADERS {
        // The dashboard runs scripts under a policy of its own, and its files may be kept.
        if !(is_dashboard && response.headers().contains_key(&name)) {
            response.headers_mut().insert(name, value);
        }
    }
    if peer.tls {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
    response
}

/// A refusal as the API's problem, or as plain text elsewhere.
fn refused(problem: Problem, is_api: bool) -> Response {
    if is_api {
        return problem.into_response();
    }
    let mut response = (problem.status(), format!("{}\n", problem.detail())).into_response();
    if problem.status() == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    if let Some(seconds) = problem.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn refusal(ctx: &Ctx, peer: &Peer, request: &Request, is_api: bool) -> Option<Problem> {
    let (headers, method) = (request.headers(), request.method());
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if !reads && !is_api {
        return Some(Problem::new(Code::MethodNotAllowed, "only GET and HEAD"));
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return Some(Problem::new(
            Code::LengthRequired,
            "a body needs its Content-Length; chunks are not taken",
        ));
    }
    let length = headers.get(header::CONTENT_LENGTH).map(|length| length.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(None) => return Some(Problem::new(Code::BadRequest, "the Content-Length is no number")),
        Some(Some(1..)) if reads => {
            return Some(Problem::new(Code::BadRequest, "a request that reads has no body"));
        }
        Some(Some(length)) if length > BODY_BYTES_MAX => {
            return Some(Problem::new(
                Code::TooLarge,
                format!("the body is larger than {BODY_BYTES_MAX} bytes"),
            ));
        }
        _ => {}
    }
    if headers.contains_key(header::UPGRADE) {
        return Some(Problem::new(Code::BadRequest, "this server upgrades no connection"));
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    if hosts.next().is_some() || !host.is_some_and(|host| is_this_machine(host, peer.local, ctx.hosts())) {
        let text = "the Host header names no address of this machine; other names are listed in api.hosts";
        return Some(Problem::new(Code::WrongHost, text));
    }
    // Whoever shares an address with a flood must not be taken for dead: an orchestrator's probe.
    if HEALTH.contains(&request.uri().path()) {
        return None;
    }
    ctx.rates().of_address(peer.address).err()
}

/// `localhost`, `127.0.0.1:8080`, `[::1]:8080`, the address that was connected to, or a configured name. Another
/// name that leads here may be a rebound DNS name.
fn is_this_machine(host: &str, local: IpAddr, names: &[String]) -> bool {
    let (name, rest) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').unwrap_or(("", "")),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port = rest.strip_prefix(':').map_or(rest.is_empty(), |port| port.parse::<u16>().is_ok());
    let known = match name.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || address.to_canonical() == local.to_canonical(),
        Err(_) => {
            name.eq_ignore_ascii_case("localhost")
                || names.iter().any(|known| known.eq_ignore_ascii_case(name))
        }
    };
    known && port
}

/// Who asks: the other end, and what it shows.
type Who = (Extension<Peer>, HeaderMap);

/// Whether who asks may see figures without the API: from this machine, or with a token.
async fn is_trusted(ctx: &Ctx, (Extension(peer), headers): &Who) -> Result<(), Problem> {
    // A proxy on this machine speaks for others.
    let is_proxied = FORWARDING.iter().any(|name| headers.contains_key(*name));
    if peer.address.is_loopback() && !is_proxied {
        return Ok(());
    }
    ctx.accounts().authenticate(headers).await.map(|_| ())
}

async fn live(State(ctx): State<Ctx>, who: Who, RawQuery(query): RawQuery) -> Response {
    let checks = health::live(&ctx.board().view());
    told(&ctx, &who, &checks, query.as_deref()).await
}

async fn ready(State(ctx): State<Ctx>, who: Who, RawQuery(query): RawQuery) -> Response {
    let checks = health::ready(&ctx.board().view());
    told(&ctx, &who, &checks, query.as_deref()).await
}

/// The answer with its reasons, or its status only to who may not know them: reasons name queues and topics.
async fn told(ctx: &Ctx, who: &Who, checks: &[Check], query: Option<&str>) -> Response {
    let answer = answer(checks, query);
    if is_trusted(ctx, who).await.is_ok() {
        return answer;
    }
    let status = answer.status();
    (status, if status == StatusCode::OK { "ok\n" } else { "failed\n" }).into_response()
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

async fn scrape(State(ctx): State<Ctx>, who: Who, headers: HeaderMap) -> Response {
    if let Err(problem) = is_trusted(&ctx, &who).await {
        return refused(problem, false);
    }
    let form = Form::preferred(&headers);
    let (view, figures) = (ctx.board().view(), ctx.watch().figures());
    let written = match form {
        Form::Text => metrics::text(view, figures).map(String::into_bytes),
        Form::Protobuf => metrics::protobuf(view, figures),
    };
    match written {
        Ok(bytes) => ([(header::CONTENT_TYPE, form.content_type())], bytes).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written\n").into_response(),
    }
}

/// `?histograms` adds the histograms themselves, some kilobytes each.
async fn figures(State(ctx): State<Ctx>, who: Who, RawQuery(query): RawQuery) -> Response {
    if let Err(problem) = is_trusted(&ctx, &who).await {
        return refused(problem, false);
    }
    let view = ctx.board().view();
    let mut document = snapshot::take(&view);
    if query.is_some_and(|query| query.split('&').any(|part| part == "histograms")) {
        document.add_histograms(&view);
    }
    axum::Json(document).into_response()
}

/// The dashboard, which shows nothing before one has signed in; without it the page that the server draws.
async fn front(state: State<Ctx>, embedded: Extension<Dashboard>, who: Who) -> Response {
    if embedded.is_built() {
        return dashboard::show(embedded).await;
    }
    plain(state, embedded, who).await
}

async fn plain(State(ctx): State<Ctx>, embedded: Extension<Dashboard>, who: Who) -> Response {
    if let Err(problem) = is_trusted(&ctx, &who).await {
        return refused(problem, false);
    }
    axum::response::Html(page::draw(&snapshot::take(&ctx.board().view()), embedded.is_built()))
        .into_response()
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], page::STYLE).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::{Body, to_bytes};
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;

    use super::*;
    use crate::board::fixture::running;
    use crate::board::{Board, Phase};

    const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

    struct Answer {
        status: u16,
        headers: axum::http::HeaderMap,
        text: String,
    }

    fn ask_with(board: Arc<Board>, path: &str, change: impl FnOnce(&mut Request)) -> Answer {
        ask_at(router(Ctx::of_board(board)), path, change)
    }

    fn ask_at(router: Router, path: &str, change: impl FnOnce(&mut Request)) -> Answer {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut request =
                Request::builder().uri(path).header("host", "127.0.0.1:1").body(Body::empty()).unwrap();
            change(&mut request);
            let response = TowerToHyperService::new(router).call(request).await.unwrap();
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
    fn a_flood_from_the_same_address_hides_no_probe() {
        let ctx = Ctx::of_board(Arc::new(running()));
        let router = router(ctx.clone());
        let flooded = |path: &str| {
            while ctx.rates().of_address(Peer::here().address).is_ok() {}
            ask_at(router.clone(), path, |_| {}).status
        };
        for path in HEALTH {
            assert_ne!(flooded(path), 429, "{path}");
        }
        // On a busy machine one request may have been given back between the flood and the question.
        for path in ["/snapshot", "/metrics"] {
            assert!((0..100).any(|_| flooded(path) == 429), "{path}");
        }
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
        for path in
            ["/plain", "/style.css", "/livez", "/readyz", "/healthz", "/metrics", "/snapshot", "/nowhere"]
        {
            let answer = ask(&board, path);
            assert_eq!(answer.status, if path == "/nowhere" { 404 } else { 200 }, "{path}");
            for (name, value) in SECURITY_HEADERS {
                assert_eq!(answer.headers.get(&name), Some(&value), "{path} {name}");
            }
        }
    }

    #[test]
    fn a_binary_without_the_dashboard_draws_its_own_page_and_says_how_one_gets_it() {
        let ask = |path: &str| {
            let ctx = Ctx::of_board(Arc::new(running()));
            ask_at(router_with(ctx, Dashboard::NONE), path, |_| {})
        };
        for path in ["/", "/plain"] {
            let page = ask(path);
            assert_eq!((page.status, &page.headers["content-type"]), (200, &HTML), "{path}");
            for part in ["orders: running", "<td>180</td>", "has no dashboard: <code>make dashboard</code>"] {
                assert!(page.text.contains(part), "{path}: {part} is missing in {}", page.text);
            }
            for (name, value) in SECURITY_HEADERS {
                assert_eq!(page.headers.get(&name), Some(&value), "{path} {name}");
            }
        }
        for path in ["/ui", "/ui/", "/ui/latency", "/assets/index.js"] {
            assert_eq!(ask(path).status, 404, "{path}");
        }
    }

    #[test]
    fn a_binary_with_the_dashboard_shows_it_and_keeps_the_page_at_plain() {
        if !Dashboard::embedded().is_built() {
            return;
        }
        let board = Arc::new(running());
        for path in ["/", "/ui", "/ui/latency"] {
            assert!(ask(&board, path).text.contains("<script"), "{path}");
        }
        let page = ask(&board, "/plain").text;
        assert!(page.contains("orders: running") && !page.contains("has no dashboard"), "{page}");
    }

    #[test]
    fn metrics_and_snapshot_say_what_they_are() {
        let board = Arc::new(running());
        let metrics = ask(&board, "/metrics");
        assert_eq!(metrics.headers["content-type"], Form::Text.content_type());
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
        let large = ask_with(Arc::clone(&board), "/api/v1/login", |request| {
            *request.method_mut() = Method::POST;
            request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("99999999"));
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

    #[test]
    fn from_elsewhere_only_health_answers_without_reasons() {
        let board = Arc::new(running());
        board.trouble("orders", Some("no AWS credentials"));
        let elsewhere = |path: &str| {
            ask_with(Arc::clone(&board), path, |request| {
                let far = IpAddr::from([192, 0, 2, 7]);
                request.extensions_mut().insert(Peer { address: far, ..Peer::here() });
            })
        };
        let proxied = |path: &str, name: &'static str| {
            ask_with(Arc::clone(&board), path, |request| {
                request.headers_mut().insert(name, HeaderValue::from_static("192.0.2.7"));
            })
        };
        for path in ["/plain", "/metrics", "/snapshot"] {
            let answer = elsewhere(path);
            assert_eq!(answer.status, 401, "{path}");
            for name in ["x-forwarded-for", "forwarded", "via"] {
                assert_eq!(proxied(path, name).status, 401, "{path} {name}");
            }
            assert!(!answer.text.contains("orders"), "{path}: {}", answer.text);
        }
        for path in ["/readyz", "/readyz?verbose", "/readyz?exclude=x"] {
            assert_eq!((elsewhere(path).status, elsewhere(path).text.as_str()), (503, "failed\n"), "{path}");
        }
        assert_eq!(
            (elsewhere("/livez?verbose").status, elsewhere("/livez?verbose").text.as_str()),
            (200, "ok\n")
        );
        assert!(ask(&board, "/readyz").text.contains("no AWS credentials"));
    }
}
