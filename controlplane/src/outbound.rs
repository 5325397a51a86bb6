//! Requests to the outside that the control plane makes by itself: bounded, over TLS, without redirects, and never to
//! an address that serves metadata.
//!
//! The address that is connected to is the one that was checked, so that a name which points elsewhere a moment
//! later gains nothing. Source: OWASP SSRF prevention.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http_body_util::{BodyExt, Limited};
use hyper::Request;
use hyper::header::{ACCEPT, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Time for a whole request: look-up, connection, answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a request goes: https, a host, a path. No credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    host: String,
    port: u16,
    path: String,
}

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutboundError(String);

impl fmt::Display for OutboundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OutboundError {}

impl Url {
    /// Reads an https URL.
    ///
    /// # Errors
    /// Another scheme, a user in it, no host, or characters that have no place there.
    pub(crate) fn parse(text: &str) -> Result<Url, String> {
        let wrong = |fault: &str| format!("`{text}` {fault}");
        let uri: hyper::Uri = text.parse().map_err(|_| wrong("is no URL"))?;
        if uri.scheme_str() != Some("https") {
            return Err(wrong("does not begin with https://"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("has a user in it"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(wrong("names no host"));
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Url { host, port: authority.port_u16().unwrap_or(443), path })
    }
}

/// Fetches a page of at most so many bytes.
///
/// # Errors
/// The host is not found, is of a kind that is not asked, does not answer in time, or answers something else than 200.
pub(crate) async fn get(url: &Url, bytes_max: usize) -> Result<Vec<u8>, OutboundError> {
    let late = || OutboundError(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()));
    timeout(REQUEST_TIMEOUT, fetch(url, bytes_max)).await.map_err(|_| late())?.map_err(OutboundError)
}

async fn fetch(url: &Url, bytes_max: usize) -> Result<Vec<u8>, String> {
    let stream = connect(&url.host, url.port).await?;
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_platform_verifier())
        .map_err(|error| error.to_string())?
        .with_no_client_auth();
    let name = ServerName::try_from(url.host.clone()).map_err(|error| error.to_string())?;
    let tls = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.map_err(|error| error.to_string())?;
    let driving = tokio::spawn(connection);
    let request = Request::get(&url.path)
        .header(HOST, if url.port == 443 { url.host.clone() } else { format!("{}:{}", url.host, url.port) })
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("millrace/", env!("CARGO_PKG_VERSION")))
        .body(Body::empty())
        .map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let status = answer.status();
    if status != hyper::StatusCode::OK {
        driving.abort();
        return Err(format!("it answers {status}; redirects are not followed"));
    }
    let body = Limited::new(answer.into_body(), bytes_max).collect().await;
    driving.abort();
    body.map(|body| body.to_bytes().to_vec()).map_err(|error| error.to_string())
}

/// Looks a host up and connects to the first of its addresses that may be asked.
async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let found = tokio::net::lookup_host((host, port)).await.map_err(|error| format!("{host}: {error}"))?;
    let mut last = format!("{host}: it has no address");
    for address in found {
        if is_refused(address.ip()) {
            last = format!("{host}: {} is an address that is never asked", address.ip());
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    Err(last)
}

/// Link-local addresses (instance metadata lies there), unspecified and multicast ones, in any writing.
pub(crate) fn is_refused(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast(),
        // fd00:ec2::254 is EC2's metadata service on IPv6.
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_without_a_user_is_a_url() {
        let url = Url::parse("https://login.example.com/a?b=c").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("login.example.com", 443, "/a?b=c"));
        assert_eq!(Url::parse("https://[2001:db8::1]:8443").unwrap().port, 8443);
        for wrong in
            ["http://a/b", "file:///etc/passwd", "https://u:p@a/", "https://", "gopher://a", "a b", "", "//a"]
        {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn metadata_addresses_are_never_asked() {
        let refused = |text: &str| is_refused(text.parse().unwrap());
        for address in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "0.0.0.0",
            "::",
            "224.0.0.1",
        ] {
            assert!(refused(address), "{address}");
        }
        for address in ["10.0.0.1", "127.0.0.1", "192.0.2.1", "2001:db8::1"] {
            assert!(!refused(address), "{address}");
        }
    }

    #[test]
    fn other_writings_of_the_metadata_address_lead_to_the_same_refusal() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for host in ["169.254.169.254", "0xa9fea9fe", "2852039166", "[::ffff:169.254.169.254]"] {
            let Ok(url) = Url::parse(&format!("https://{host}/latest/meta-data")) else { continue };
            let error = runtime.block_on(get(&url, 1000)).unwrap_err();
            assert!(error.0.contains("never asked") || error.0.contains("lookup"), "{host}: {error}");
        }
    }
}
