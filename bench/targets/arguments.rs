//! Command line of the programs that Millrace is measured beside; the harness writes it.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser;
use futures_rustls::TlsConnector;
use futures_rustls::rustls::{ClientConfig as TlsConfig, RootCertStore};
use rdkafka::config::ClientConfig;

/// What a target is told.
#[derive(Clone, Debug, Parser)]
#[command(about = "A program that Millrace is measured beside; `bench run` starts it")]
pub(crate) struct Arguments {
    /// `http://ADDRESS:PORT` of the SQS server, or `https://`
    #[arg(long)]
    pub(crate) endpoint: String,
    /// URL of the queue
    #[arg(long)]
    pub(crate) queue_url: String,
    /// PEM file with the authority of the server's certificate; for https
    #[arg(long)]
    pub(crate) ca: Option<PathBuf>,
    /// Kafka brokers
    #[arg(long)]
    pub(crate) brokers: String,
    /// Topic
    #[arg(long)]
    pub(crate) topic: String,
    /// Compression of record batches
    #[arg(long, default_value = "lz4")]
    pub(crate) compression: String,
    /// Threads
    #[arg(long, default_value_t = 1)]
    pub(crate) shards: usize,
    /// Expected size of a body
    #[arg(long, default_value_t = 1024)]
    pub(crate) body_bytes: usize,
    /// Deliver message attributes as headers
    #[arg(long)]
    pub(crate) attributes: bool,
    /// Use the message group as key
    #[arg(long)]
    pub(crate) fifo: bool,
}

/// Messages that may be received and not yet deleted on one thread.
const IN_FLIGHT_MAX: usize = 20_000;
/// Bytes of them.
const IN_FLIGHT_BYTES_MAX: usize = 64 << 20;

impl Arguments {
    /// Address of the SQS server; names are not resolved.
    ///
    /// # Errors
    /// The endpoint is no `http://ADDRESS:PORT`.
    #[allow(dead_code, reason = "the SDK resolves for itself")]
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        let (_, text) = self.endpoint.split_once("://").context("the endpoint has no scheme")?;
        text.trim_end_matches('/').parse().with_context(|| format!("`{text}` is no address and port"))
    }

    /// Certificates of the authority to trust, in PEM.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn ca_pem(&self) -> Result<Option<Vec<u8>>> {
        let read = |path: &PathBuf| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        self.ca.as_ref().map(read).transpose()
    }

    /// TLS as rustls has it without further ado: certificates are checked, sessions resumed.
    ///
    /// # Errors
    /// The file has no usable certificate.
    #[allow(dead_code, reason = "the SDK brings its own")]
    pub(crate) fn tls(&self) -> Result<Option<TlsConnector>> {
        let Some(pem) = self.ca_pem()? else { return Ok(None) };
        let mut roots = RootCertStore::empty();
        for certificate in rustls_pemfile::certs(&mut pem.as_slice()) {
            roots.add(certificate?)?;
        }
        let config = TlsConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Some(Arc::new(config).into()))
    }

    /// Messages that may be in flight: as many as Millrace's own default allows.
    pub(crate) fn in_flight_max(&self) -> usize {
        IN_FLIGHT_MAX.min(IN_FLIGHT_BYTES_MAX / self.body_bytes.max(1)).max(20)
    }

    /// A producer's settings, the same for all: as safe as Millrace's.
    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("compression.type", &self.compression)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("partitioner", "murmur2_random")
            // An SQS message may have 1 MiB, and Kafka counts headers and framing too.
            .set("message.max.bytes", "2000000")
            .set("allow.auto.create.topics", "false");
        config
    }
}
