//! One request to the API, with a deadline and a bound on its answer; or a stream of events, each bounded.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HOST, HeaderValue, IF_MATCH, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::Verifier;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::exit::{self, Failure};

/// Time for a request: a drain waits for 20 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(35);
/// Largest answer.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Where requests go.
#[derive(Clone, Debug)]
pub(super) struct Target {
    uri: Uri,
    host: String,
    port: u16,
    tls: Option<TlsConfig>,
}

#[derive(Clone)]
struct TlsConfig(Arc<ClientConfig>);

impl std::fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsConfig")
    }
}

/// What is asked.
#[derive(Clone, Debug)]
pub(super) struct Question<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) body: Option<&'a Value>,
    /// Version that a change was made from.
    pub(super) if_match: Option<&'a str>,
    /// Form of the answer that is wanted.
    pub(super) accept: &'static str,
}

impl<'a> Question<'a> {
    /// A question whose answer is JSON.
    pub(super) fn new(method: Method, path: &'a str, body: Option<&'a Value>) -> Question<'a> {
        Question { method, path, body, if_match: None, accept: "application/json" }
    }
}

/// An answer: status and JSON, `Null` without a body. A text is a JSON string.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) json: Value,
    /// Version of what is shown.
    pub(super) etag: Option<String>,
}

/// An answer that comes in pieces.
pub(super) struct Pieces {
    body: Incoming,
    driving: JoinHandle<hyper::Result<()>>,
}

impl Pieces {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(bytes) = frame.map_err(|error| error.to_string())?.into_data() {
                return Ok(Some(bytes.to_vec()));
            }
        }
        Ok(None)
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

/// A connection, encrypted or not.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

impl Target {
    /// Reads the URL of an API.
    ///
    /// # Errors
    /// It is none, or would carry a token in clear over a network. Exit code 2; 78 for a bad authority.
    pub(super) fn parse(url: &str, ca: Option<&Path>) -> Result<Target, Failure> {
        let wrong = |fault: &str| {
            Failure::new(
                exit::USAGE,
                format!("--api {url}: {fault}"),
                "for example https://millrace.example.com",
            )
        };
        let uri: Uri = url.parse().map_err(|_| wrong("is no URL"))?;
        let host = uri.host().ok_or_else(|| wrong("names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let here = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        let (port, tls) = match uri.scheme_str() {
            Some("https") => (443, Some(TlsConfig(Arc::new(tls(ca)?)))),
            Some("http") if here => (80, None),
            Some("http") => return Err(wrong("would carry the token in clear over a network; use https")),
            _ => return Err(wrong("begins neither with https:// nor with http://")),
        };
        Ok(Target { port: uri.port_u16().unwrap_or(port), host, tls, uri })
    }

    /// Its URL, without path.
    pub(super) fn base(&self) -> String {
        let scheme = self.uri.scheme_str().unwrap_or("https");
        format!("{scheme}://{}", self.uri.authority().map_or("", |authority| authority.as_str()))
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// The other side cannot be reached or answers no JSON. Exit code 69.
    pub(super) async fn send(&self, question: &Question<'_>, token: Option<&str>) -> Result<Answer, Failure> {
        let asked = async {
            let (response, driving) = self.ask(question, token).await?;
            let answer = whole(response).await;
            driving.abort();
            answer
        };
        let late = || self.unreachable(&format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()));
        timeout(REQUEST_TIMEOUT, asked).await.map_err(|_| late())?.map_err(|fault| self.unreachable(&fault))
    }

    /// Sends a request whose answer comes in pieces; a problem comes whole.
    ///
    /// # Errors
    /// The other side cannot be reached. Exit code 69.
    pub(super) async fn stream(
        &self,
        question: &Question<'_>,
        token: Option<&str>,
    ) -> Result<Result<Pieces, Answer>, Failure> {
        let asked = async {
            let (response, driving) = self.ask(question, token).await?;
            if response.status() == StatusCode::OK {
                return Ok(Ok(Pieces { body: response.into_body(), driving }));
            }
            let answer = whole(response).await;
            driving.abort();
            answer.map(Err)
        };
        let late = || self.unreachable(&format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()));
        timeout(REQUEST_TIMEOUT, asked).await.map_err(|_| late())?.map_err(|fault| self.unreachable(&fault))
    }

    /// The other side is not there, or not what it should be.
    pub(super) fn unreachable(&self, fault: &str) -> Failure {
        let remedy = "is it running there? `--api URL` or MILLRACE_API names another";
        Failure::new(exit::UNREACHABLE, format!("{}: {fault}", self.base()), remedy)
    }

    async fn ask(
        &self,
        question: &Question<'_>,
        token: Option<&str>,
    ) -> Result<(Response<Incoming>, JoinHandle<hyper::Result<()>>), String> {
        let request = self.request(question, token)?;
        let io = TokioIo::new(self.connect().await?);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(io).await.map_err(|error| error.to_string())?;
        let driving = tokio::spawn(connection);
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        Ok((answer, driving))
    }

    fn request(&self, question: &Question<'_>, token: Option<&str>) -> Result<Request<Body>, String> {
        let mut request = Request::builder()
            .method(question.method.clone())
            .uri(question.path)
            .header(HOST, self.uri.authority().map_or("", |authority| authority.as_str()))
            .header(ACCEPT, question.accept)
            .header(USER_AGENT, concat!("millrace/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = token {
            let mut value =
                HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| "the token is no token")?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if let Some(tag) = question.if_match {
            request = request.header(IF_MATCH, tag);
        }
        let content = question.body.map(Value::to_string);
        if content.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request.body(content.map_or_else(Body::empty, Body::from)).map_err(|error| error.to_string())
    }

    async fn connect(&self) -> Result<Box<dyn Wire>, String> {
        let stream =
            TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|error| error.to_string())?;
        let Some(TlsConfig(config)) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(self.host.clone()).map_err(|error| error.to_string())?;
        let connector = TlsConnector::from(Arc::clone(config));
        Ok(Box::new(connector.connect(name, stream).await.map_err(|error| error.to_string())?))
    }
}

async fn whole(answer: Response<Incoming>) -> Result<Answer, String> {
    let status = answer.status();
    let header = |name: hyper::header::HeaderName| {
        answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let etag = header(ETAG);
    let is_text = header(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/plain"));
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| error.to_string())?;
    let bytes = body.to_bytes();
    if is_text {
        let json = Value::String(String::from_utf8_lossy(&bytes).into_owned());
        return Ok(Answer { status, json, etag });
    }
    let json = if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&bytes) };
    let json = json.map_err(|_| format!("it answers {status} and no JSON: is this Millrace's API?"))?;
    Ok(Answer { status, json, etag })
}

fn tls(ca: Option<&Path>) -> Result<ClientConfig, Failure> {
    let refused = |fault: String| Failure::config(format!("--api-ca: {fault}"), "name a readable PEM file");
    let mut roots = Vec::new();
    if let Some(file) = ca {
        let pem = std::fs::read(file).map_err(|error| refused(format!("{}: {error}", file.display())))?;
        for certificate in rustls_pemfile::certs(&mut pem.as_slice()) {
            roots.push(certificate.map_err(|error| refused(error.to_string()))?);
        }
    }
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&ring))
        .map_err(|error| refused(error.to_string()))?;
    let builder = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::bug(error.to_string()))?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_goes_over_a_network_in_clear() {
        for (url, code) in [
            ("http://127.0.0.1:8080", None),
            ("http://[::1]:8080", None),
            ("http://localhost", None),
            ("https://millrace.example.com", None),
            ("http://millrace.example.com", Some(2)),
            ("http://10.0.0.1:8080", Some(2)),
            ("ftp://a", Some(2)),
            ("nonsense", Some(2)),
        ] {
            assert_eq!(Target::parse(url, None).err().map(|failure| failure.code), code, "{url}");
        }
    }
}
