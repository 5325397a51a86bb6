//! Sockets: kept-alive HTTP/1.1 over TCP or TLS for tasks of a shard, and the wake-ups between threads.
//!
//! Level 2. The only sockets of the data plane beside librdkafka's. Made for one long-lived task per
//! connection: a request is one write, an answer is one read in the common case, parsed in the same poll.
//! Knows nothing of SQS.

mod answer;
mod chunks;
mod connection;
mod error;
mod http1;
mod notify;
mod proxy;
mod resolve;
pub(crate) mod ring;
mod stream;
mod sys;
#[cfg(test)]
mod tests;
mod tls;
mod tls_stream;
mod wake;
mod watchdog;

pub(crate) use connection::{Connection, ReceiveBuffer};
pub(crate) use error::NetError;
pub(crate) use http1::Head;
pub(crate) use notify::Notify;
pub(crate) use resolve::Resolver;
pub(crate) use tls::TlsClient;
pub(crate) use wake::{WakeHandle, WakePair, WakeReader};
pub(crate) use watchdog::Watchdog;

/// Where connections go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Host name or IP address: what is connected to, and what the certificate must name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// HTTP proxy to go through, as host and port.
    pub proxy: Option<(String, u16)>,
}

impl Target {
    /// Host and port of the first hop.
    pub(crate) fn first_hop(&self) -> (&str, u16) {
        self.proxy.as_ref().map_or((&self.host, self.port), |(host, port)| (host, *port))
    }
}
