//! What two planes say to each other over a socket: frames of JSON, each with its length before it.
//!
//! The data plane sends who it is and, once a second, a view; the control plane sends orders, each of which is answered.
//! A frame has a bound, and so has the time that a peer takes to read it.

use std::io;
use std::time::Duration;

use dataplane::config::Config;
use dataplane::control::Command;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::board::View;

/// Number of this protocol: two planes that speak different ones refuse each other.
pub(super) const PROTOCOL: u32 = 1;
/// Time for a handshake, and for a peer to take a frame.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Largest frame: 256 shards with 64 pipelines whose every histogram is full take less.
const FRAME_BYTES_MAX: usize = 64 << 20;
/// Largest frame that a control plane sends: a configuration.
pub(super) const ORDER_BYTES_MAX: usize = 4 << 20;

/// Who a data plane is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    /// Its name.
    pub(super) name: String,
    /// Version of Millrace.
    pub(super) version: String,
    /// Commit that it was built from.
    pub(super) commit: String,
    /// The configuration that it works by, without what may be secret.
    pub(super) config: Config,
}

/// From a data plane.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Up {
    /// Comes first, whatever protocol is spoken.
    Protocol(u32),
    /// Comes second, and again when its configuration has changed.
    Hello(Box<Hello>),
    /// What its shards published.
    View(Box<View>),
    /// What became of an order: taken, or why not.
    Answer {
        /// Number of the order.
        id: u64,
        /// Why it was refused.
        refused: Option<String>,
    },
}

/// From a control plane.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Down {
    /// Comes first, whatever protocol is spoken.
    Protocol(u32),
    /// Something to be done.
    Order {
        /// Number of the order on this connection.
        id: u64,
        /// What.
        command: Command,
    },
}

/// Reads a frame.
///
/// # Errors
/// The connection ended or broke, or the frame is too large or no message of this protocol.
pub(super) async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
    bytes_max: usize,
) -> io::Result<T> {
    let length = from.read_u32().await? as usize;
    if length > bytes_max {
        let text = format!("a frame of {length} bytes; at most {bytes_max} are taken");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    // Grows as bytes come: a peer that only claims a length costs nothing.
    let mut bytes = Vec::new();
    from.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Reads a frame of a data plane.
///
/// # Errors
/// As [`read`].
pub(super) async fn read_up(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Up> {
    read(from, FRAME_BYTES_MAX).await
}

/// The other side speaks another protocol.
pub(super) fn other_protocol(other: u32) -> io::Error {
    let text = format!(
        "it speaks protocol {other}, this side {PROTOCOL}: give both planes versions of Millrace that fit each other"
    );
    io::Error::new(io::ErrorKind::Unsupported, text)
}

/// Writes a frame.
///
/// # Errors
/// The connection broke, or the peer does not read.
pub(super) async fn write(to: &mut (impl AsyncWrite + Unpin), frame: &impl Serialize) -> io::Result<()> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, frame)?;
    let length = bytes.len() - 4;
    let too_large = || io::Error::new(io::ErrorKind::InvalidInput, format!("a frame of {length} bytes"));
    let head = u32::try_from(length).ok().filter(|_| length <= FRAME_BYTES_MAX).ok_or_else(too_large)?;
    bytes[..4].copy_from_slice(&head.to_be_bytes());
    let written = async {
        to.write_all(&bytes).await?;
        to.flush().await
    };
    timeout(PATIENCE, written).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::fixture;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn a_view_crosses_whole() {
        block_on(async {
            let (mut here, mut there) = tokio::io::duplex(64);
            let view = fixture::running().view();
            let sent = Up::View(Box::new(View::clone(&view)));
            let writing = async { write(&mut here, &sent).await.unwrap() };
            let (read, ()) = tokio::join!(read_up(&mut there), writing);
            let Up::View(read) = read.unwrap() else { panic!() };
            assert_eq!(
                serde_json::to_value(crate::snapshot::take(&read)).unwrap(),
                serde_json::to_value(crate::snapshot::take(&view)).unwrap()
            );
        });
    }

    #[test]
    fn every_order_crosses_and_credentials_never_do() {
        let pipeline = || "orders".to_owned();
        let config = std::sync::Arc::new(fixture::config());
        for command in [
            Command::Pause { pipeline: pipeline() },
            Command::Stop { pipeline: pipeline() },
            Command::Rate { pipeline: pipeline(), rate: dataplane::config::Rate::default() },
            Command::Apply { epoch: 7, config },
            Command::Drain,
            Command::Abort,
        ] {
            let sent = Down::Order { id: 3, command };
            let text = serde_json::to_string(&sent).unwrap();
            let read: Down = serde_json::from_str(&text).unwrap();
            assert_eq!(format!("{read:?}"), format!("{sent:?}"));
        }
        let credentials = dataplane::control::Credentials {
            access_key: "AKIA".into(),
            secret_key: "s".to_owned().into(),
            session_token: None,
        };
        let secret = Command::Credentials { pipeline: pipeline(), credentials };
        assert!(serde_json::to_string(&Down::Order { id: 1, command: secret }).is_err());
    }

    #[test]
    fn what_is_too_large_or_no_message_is_refused_before_it_is_kept() {
        block_on(async {
            let mut claimed = &u32::MAX.to_be_bytes()[..];
            assert_eq!(read_up(&mut claimed).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
            let mut cut = &[0, 0, 0, 9, b'{'][..];
            assert_eq!(read_up(&mut cut).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
            let mut other = &b"\0\0\0\x0bGET / HTTP/"[..];
            assert_eq!(read_up(&mut other).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
            let mut credentials =
                &b"\0\0\0\x3d{\"order\":{\"id\":1,\"command\":{\"credentials\":{\"pipeline\":\"x\"}}}}"[..];
            assert!(read::<Down>(&mut credentials, ORDER_BYTES_MAX).await.is_err());
        });
    }

    #[test]
    fn a_peer_that_does_not_read_ends_its_connection() {
        block_on(async {
            let (mut here, _there) = tokio::io::duplex(8);
            let error = write(&mut here, &Down::Protocol(1)).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        });
    }
}
