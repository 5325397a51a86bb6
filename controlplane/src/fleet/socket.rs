//! Connections between the planes: Unix sockets and TCP with TLS behind one type.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use dataplane::config::{Address, Door};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::{tls, wire};
use crate::exit::Failure;

/// A connection, whatever carries it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection, whatever carries it.
pub(super) type Connection = Box<dyn Stream>;

/// Where a data plane is reached, with its rules of who may come.
pub(super) struct Listener {
    way: Way,
    tls: Option<(TlsAcceptor, Vec<String>)>,
    /// The address with its real port.
    pub(super) address: String,
}

enum Way {
    Unix(UnixListener, PathBuf),
    Tcp(TcpListener),
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Way::Unix(_, path) = &self.way {
            let _gone = std::fs::remove_file(path);
        }
    }
}

impl Listener {
    /// Takes the address; to be called within the runtime.
    ///
    /// # Errors
    /// The address is taken or may not be used, a certificate cannot be used. Exit code 78.
    pub(super) fn bind(door: &Door) -> Result<Listener, Failure> {
        let refuse = |text: String| {
            Failure::config(format!("door.listen: {}: {text}", door.listen), "choose another door.listen")
        };
        let address = Address::parse(&door.listen).map_err(refuse)?;
        let tls = match &door.tls {
            Some(files) => Some((tls::acceptor(files)?, files.peer_names.clone())),
            None => None,
        };
        let way = match &address {
            Address::Unix(path) => bind_unix(path)
                .map(|listener| Way::Unix(listener, path.clone()))
                .map_err(|error| refuse(error.to_string()))?,
            Address::Tcp { host, port } => {
                Way::Tcp(bind_tcp(host, *port).map_err(|error| refuse(error.to_string()))?)
            }
        };
        let address = match &way {
            Way::Tcp(listener) => {
                listener.local_addr().map_or(address.to_string(), |real| format!("tcp:{real}"))
            }
            Way::Unix(..) => address.to_string(),
        };
        Ok(Listener { way, tls, address })
    }

    /// The next connection, not yet let in.
    pub(super) async fn accept(&self) -> io::Result<Arrival> {
        match &self.way {
            Way::Unix(listener, _) => Ok(Arrival::Unix(listener.accept().await?.0)),
            Way::Tcp(listener) => Ok(Arrival::Tcp(listener.accept().await?.0)),
        }
    }

    /// Lets whoever has arrived in, or says why not.
    pub(super) fn admission(&self) -> Admission {
        Admission { tls: self.tls.clone() }
    }
}

/// Somebody at the door.
pub(super) enum Arrival {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// The rules of who may come in.
pub(super) struct Admission {
    tls: Option<(TlsAcceptor, Vec<String>)>,
}

impl Admission {
    /// # Errors
    /// Another user, no certificate, or one with another name.
    pub(super) async fn admit(self, arrival: Arrival) -> io::Result<Connection> {
        let denied = |text: &str| io::Error::new(io::ErrorKind::PermissionDenied, text.to_owned());
        match (arrival, self.tls) {
            (Arrival::Unix(stream), _) => {
                let user = stream.peer_cred()?.uid();
                if user != 0 && user != rustix::process::geteuid().as_raw() {
                    return Err(denied("the process belongs to another user"));
                }
                Ok(Box::new(stream))
            }
            (Arrival::Tcp(stream), None) => Ok(Box::new(stream)),
            (Arrival::Tcp(stream), Some((acceptor, names))) => {
                stream.set_nodelay(true)?;
                let late = |_| io::Error::from(io::ErrorKind::TimedOut);
                let stream = timeout(wire::PATIENCE, acceptor.accept(stream)).await.map_err(late)??;
                if !tls::is_one_of(stream.get_ref().1.peer_certificates(), &names) {
                    return Err(denied("the certificate holds none of door.tls.peer_names"));
                }
                Ok(Box::new(stream))
            }
        }
    }
}

/// Binds beside the path, closes it to others, and puts it in place: nobody sees it open.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there"));
    }
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    if fresh.symlink_metadata().is_ok() {
        std::fs::remove_file(&fresh)?;
    }
    let listener = UnixListener::bind(&fresh)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&fresh, path)?;
    Ok(listener)
}

fn bind_tcp(host: &str, port: u16) -> io::Result<TcpListener> {
    let host = if host == "localhost" { "127.0.0.1" } else { host };
    let address = host.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "no IP address"))?;
    let listener = std::net::TcpListener::bind(SocketAddr::new(address, port))?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}
