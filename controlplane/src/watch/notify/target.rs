//! Where a web hook is, and one request to it: over TLS or to this machine, to the address that was checked, without
//! redirects, bounded in time and size.
//!
//! Which addresses are never asked is decided in [`crate::outbound`], for everything that the control plane asks.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::{BodyExt, Limited};
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Failure;

/// Time for a whole delivery: look-up, connection, answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Answer that is read, to leave the connection in order; what it says is of no interest.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A web hook's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    is_tls: bool,
    allow_http: bool,
    host: String,
    port: u16,
    path: String,
}

impl Target {
    /// Reads an address.
    ///
    /// # Errors
    /// Another scheme than https and http, a user in it, no host.
    pub(crate) fn parse(text: &str, allow_http: bool) -> Result<Target, String> {
        // A path may hold the receiver's own secret, so the text is not repeated.
        let uri: hyper::Uri = text.parse().map_err(|_| "is no URL".to_owned())?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("does not begin with https:// or http://".to_owned()),
        };
        let authority = uri.authority().ok_or("names no host")?;
        if authority.as_str().contains('@') {
            return Err("has a user in it; sign with `secret` instead".to_owned());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err("names no host".to_owned());
        }
        if !is_tls && !allow_http && host.parse::<IpAddr>().is_ok_and(|address| !address.is_loopback()) {
            return Err("is plain http to another machine; use https, or set allow_http".to_owned());
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        Ok(Target { is_tls, allow_http, host, port, path })
    }

    /// Sends a body with these headers.
    ///
    /// # Errors
    /// Everything but a 2xx answer; whether another try can help is in the failure.
    pub(crate) async fn post(&self, headers: &[(HeaderName, String)], body: Vec<u8>) -> Result<(), Failure> {
        let late = |_| Failure::passing(format!("no answer within {} s", TIMEOUT.as_secs()));
        timeout(TIMEOUT, self.send(headers, body)).await.map_err(late)?
    }

    async fn send(&self, headers: &[(HeaderName, String)], body: Vec<u8>) -> Result<(), Failure> {
        let stream = self.connect().await?;
        let request = self.request(headers, body)?;
        if !self.is_tls {
            return exchange(stream, request).await;
        }
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_platform_verifier())
            .map_err(|error| Failure::lasting(error.to_string()))?
            .with_no_client_auth();
        let name =
            ServerName::try_from(self.host.clone()).map_err(|error| Failure::lasting(error.to_string()))?;
        let tls = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        exchange(tls.map_err(|error| Failure::passing(error.to_string()))?, request).await
    }

    fn request(&self, headers: &[(HeaderName, String)], body: Vec<u8>) -> Result<Request<Body>, Failure> {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = self.port == if self.is_tls { 443 } else { 80 };
        let host = if usual { host } else { format!("{host}:{}", self.port) };
        let wrong = |error: String| Failure::lasting(error);
        let mut request = Request::post(&self.path)
            .header(HOST, host)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("millrace/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            request =
                request.header(name, HeaderValue::from_str(value).map_err(|error| wrong(error.to_string()))?);
        }
        request.body(Body::from(Bytes::from(body))).map_err(|error| wrong(error.to_string()))
    }

    /// Connects to the first address that may be asked: the one that is checked is the one that is used.
    async fn connect(&self) -> Result<TcpStream, Failure> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let found = found.map_err(|error| Failure::passing(format!("{}: {error}", self.host)))?;
        let mut last = Failure::passing(format!("{} has no address", self.host));
        for address in found {
            if let Some(reason) = self.refusal(address) {
                last = Failure::lasting(reason);
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Failure::passing(format!("{address}: {error}")),
            }
        }
        Err(last)
    }

    fn refusal(&self, address: SocketAddr) -> Option<String> {
        let ip = address.ip().to_canonical();
        if crate::outbound::is_refused(ip) {
            return Some(format!("{ip} is an address that is never asked"));
        }
        let plain = !self.is_tls && !self.allow_http && !ip.is_loopback();
        plain.then(|| {
            format!("{ip} is another machine and the address is plain http; use https, or set allow_http")
        })
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Body>,
) -> Result<(), Failure> {
    let passing = |error: hyper::Error| Failure::passing(error.to_string());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(passing)?;
    let driving = tokio::spawn(connection);
    let outcome = async {
        let answer = sender.send_request(request).await.map_err(passing)?;
        let status = answer.status();
        // What stands in the answer is the receiver's affair.
        let _rest = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.is_ok();
        verdict(status)
    }
    .await;
    driving.abort();
    outcome
}

fn verdict(status: StatusCode) -> Result<(), Failure> {
    let worth_a_try = status.is_server_error()
        || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS, StatusCode::TOO_EARLY]
            .contains(&status);
    match status {
        status if status.is_success() => Ok(()),
        status if status.is_redirection() => Err(Failure::lasting(format!(
            "it answers {status}; redirects are not followed: give the final address"
        ))),
        status if worth_a_try => Err(Failure::passing(format!("it answers {status}"))),
        status => Err(Failure::lasting(format!("it answers {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_or_this_machine_is_a_target() {
        for (text, allow) in [
            ("https://hooks.example.com/a?b", false),
            ("http://127.0.0.1:9000/x", false),
            ("http://[::1]/x", false),
            ("http://10.0.0.7/x", true),
        ] {
            assert!(Target::parse(text, allow).is_ok(), "{text}");
        }
        for text in ["http://10.0.0.7/x", "ftp://a/", "https://u:p@a/", "https://", "//a", "a b", ""] {
            let error = Target::parse(text, false).unwrap_err();
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
        let v6 = Target::parse("https://[2001:db8::1]:8443/p", false).unwrap();
        assert_eq!((v6.host.as_str(), v6.port, v6.path.as_str()), ("2001:db8::1", 8443, "/p"));
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused_at_the_address() {
        let refused = |url: &str, allow: bool, address: &str| {
            Target::parse(url, allow).unwrap().refusal(SocketAddr::new(address.parse().unwrap(), 1)).is_some()
        };
        for address in ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1"] {
            assert!(refused("https://hooks.example.com/", true, address), "{address}");
        }
        assert!(refused("http://localhost/", false, "10.0.0.1"), "a rebound name over plain http");
        assert!(!refused("http://localhost/", true, "10.0.0.1"));
        assert!(!refused("http://localhost/", false, "::ffff:127.0.0.1"));
        assert!(!refused("https://hooks.example.com/", false, "10.0.0.1"), "a company's own receiver");
    }

    #[test]
    fn what_may_pass_is_tried_again_and_the_rest_is_not() {
        let passing = |status: u16| verdict(StatusCode::from_u16(status).unwrap()).unwrap_err().passing;
        assert_eq!(verdict(StatusCode::NO_CONTENT), Ok(()));
        assert_eq!([500, 503, 429, 408].map(passing), [true; 4]);
        assert_eq!([301, 307, 400, 401, 404, 410].map(passing), [false; 6]);
    }
}
