//! What can go wrong on a connection, and whether the server may have acted on the request.
//!
//! Level 2. Facts, not decisions: whether to try again is the caller's business, and so are texts for logs.

use std::fmt;
use std::io;
use std::net::SocketAddr;

/// A failed connection, request or answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NetError {
    /// What happened.
    pub fault: Fault,
    /// Whether any byte of the request may have reached the server. Then a lost answer to a receive may
    /// have held messages, which stay hidden until their visibility timeout ends; without it the same
    /// request can be sent again on a new connection at once.
    pub sent: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The peer closed the connection; `seen` bytes of the answer had come.
    Closed {
        /// Bytes of the answer, its head included.
        seen: usize,
    },
    /// No address of the target took the connection. Network, or a wrong address.
    Connect(Vec<(SocketAddr, io::ErrorKind)>),
    /// The deadline passed in this phase.
    Deadline(&'static str),
    /// The name has no address, or could not be looked up.
    Dns(String),
    /// The socket failed: reset by the peer, or given up by the kernel.
    Io(io::ErrorKind),
    /// The answer breaks HTTP/1.1, or a limit. The server's fault, or an attacker's.
    Protocol(&'static str),
    /// The proxy refused with this status.
    Proxy(u16),
    /// The TLS handshake or a record failed.
    Tls(TlsTrouble, String),
}

/// Which check of TLS failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsTrouble {
    /// The certificate's time is over, or ours is wrong.
    CertificateExpired,
    /// The certificate's time has not begun, or our clock is behind.
    CertificateNotYetValid,
    /// The certificate names another host.
    CertificateOtherName,
    /// No authority that is trusted here has issued the certificate.
    CertificateUnknownIssuer,
    /// Anything else about the certificate: revoked, badly signed, not made for servers.
    CertificateRefused,
    /// TLS is asked for and there are no settings for it.
    NotConfigured,
    /// The peer does not speak TLS as it should, or refused us.
    Protocol,
}

impl NetError {
    /// Stable text for counting.
    pub(crate) fn code(&self) -> &'static str {
        match &self.fault {
            Fault::Closed { .. } => "connection_closed",
            Fault::Connect(tried) if all_are(tried, io::ErrorKind::ConnectionRefused) => "connect_refused",
            Fault::Connect(tried) if all_are(tried, io::ErrorKind::TimedOut) => "connect_timeout",
            Fault::Connect(_) => "connect_failed",
            Fault::Deadline(_) => "deadline",
            Fault::Dns(_) => "dns",
            Fault::Io(_) => "connection_failed",
            Fault::Protocol(_) => "http_protocol",
            Fault::Proxy(_) => "proxy_refused",
            Fault::Tls(trouble, _) => trouble.code(),
        }
    }
}

impl TlsTrouble {
    fn code(self) -> &'static str {
        match self {
            TlsTrouble::CertificateExpired => "tls_certificate_expired",
            TlsTrouble::CertificateNotYetValid => "tls_certificate_not_yet_valid",
            TlsTrouble::CertificateOtherName => "tls_certificate_other_name",
            TlsTrouble::CertificateUnknownIssuer => "tls_certificate_unknown_issuer",
            TlsTrouble::CertificateRefused => "tls_certificate_refused",
            TlsTrouble::NotConfigured => "tls_not_configured",
            TlsTrouble::Protocol => "tls",
        }
    }
}

fn all_are(tried: &[(SocketAddr, io::ErrorKind)], kind: io::ErrorKind) -> bool {
    !tried.is_empty() && tried.iter().all(|(_, found)| *found == kind)
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)?;
        if self.sent { f.write_str("; the server may have acted on the request") } else { Ok(()) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Closed { seen } => write!(f, "the peer closed the connection after {seen} bytes"),
            Fault::Connect(tried) if tried.is_empty() => f.write_str("no connection: there is no address"),
            Fault::Connect(tried) => {
                f.write_str("no connection")?;
                tried.iter().try_for_each(|(address, kind)| write!(f, "; {address}: {kind}"))
            }
            Fault::Deadline(phase) => write!(f, "the deadline passed while {phase}"),
            Fault::Dns(text) => write!(f, "the name cannot be resolved: {text}"),
            Fault::Io(kind) => write!(f, "the connection failed: {kind}"),
            Fault::Protocol(what) => write!(f, "the answer is no valid HTTP/1.1: {what}"),
            Fault::Proxy(407) => f.write_str("the proxy asks for authentication (407)"),
            Fault::Proxy(status) => write!(f, "the proxy answered {status}"),
            Fault::Tls(_, text) => write!(f, "TLS failed: {text}"),
        }
    }
}

/// Faults that come before a request is on its way.
impl From<Fault> for NetError {
    fn from(fault: Fault) -> Self {
        NetError { fault, sent: false }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Io(error.kind())
    }
}
