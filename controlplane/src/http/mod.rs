//! The HTTP door: an accept loop of our own with limits, TLS where it is configured.
//!
//! Limits stand here and not in the router, so that no route can forget them: connections, time for a head, life of
//! a connection, time for a peer to read. What is answered stands in [`routes`] (health, metrics, the page) and
//! in [`crate::api`].

mod curve;
mod page;
pub(crate) mod pem;
mod places;
mod routes;
#[cfg(test)]
mod smuggling_tests;
mod tls;
#[cfg(test)]
mod tls_tests;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use dataplane::config::Api;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

use crate::api::Ctx;
use crate::exit::Failure;
pub(crate) use page::escape;
pub(crate) use places::Place;
use places::{Places, Taken};
use tls::Certified;

/// All routes with their rules, for tests that come through no connection.
#[cfg(test)]
pub(crate) fn router_of(ctx: Ctx) -> Router {
    routes::router(ctx)
}

/// Time for a request's head, for a TLS handshake, and for an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Life of a connection that streams nothing.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// Life of a connection that streams; its client comes again with where it stopped.
const STREAM_TIMEOUT: Duration = Duration::from_secs(3_600);
/// Time within which a peer must take some bytes of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);
/// Size of a request's head.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Headers in a request.
const HEADERS_MAX: usize = 64;
/// Pause after a failed accept: out of descriptors, another try at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Time for answers under way when the door closes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Who is at the other end of a connection; an extension of each request.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Its address.
    pub(crate) address: IpAddr,
    /// The address of ours that it came to.
    pub(crate) local: IpAddr,
    /// Whether the connection is encrypted.
    pub(crate) tls: bool,
    /// Its place.
    pub(crate) place: Arc<Place>,
}

impl Peer {
    /// A peer on this machine: for requests that came through no door, in tests.
    pub(crate) fn here() -> Peer {
        let here = IpAddr::from([127, 0, 0, 1]);
        Peer { address: here, local: here, tls: false, place: Arc::default() }
    }
}

/// A bound address that nobody is let in at yet.
pub(crate) struct Door {
    listener: std::net::TcpListener,
    address: SocketAddr,
    tls: Option<Certified>,
}

impl Door {
    /// Takes the address and reads the certificate.
    ///
    /// # Errors
    /// The address is taken, or may not be used; a certificate cannot be used. Exit code 78.
    pub(crate) fn bind(api: &Api) -> Result<Door, Failure> {
        let listen = &api.listen;
        let refuse = |error: io::Error| {
            let taken = error.kind() == io::ErrorKind::AddrInUse;
            let remedy = if taken {
                "another process listens there; try --listen 127.0.0.1:0"
            } else {
                "choose another api.listen"
            };
            Failure::config(format!("api.listen: {listen}: {error}"), remedy)
        };
        let tls = api.tls.as_ref().map(Certified::new).transpose()?;
        let listener = std::net::TcpListener::bind(listen).map_err(refuse)?;
        listener.set_nonblocking(true).map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        Ok(Door { listener, address, tls })
    }

    /// The address with its real port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL that people open.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}/", if self.tls.is_some() { "https" } else { "http" }, self.address)
    }

    /// Answers until told to stop; answers under way are finished.
    ///
    /// # Errors
    /// The listener cannot be watched.
    pub(crate) async fn serve(mut self, ctx: Ctx, mut stop: watch::Receiver<bool>) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        let places = Arc::new(Places::default());
        let router = routes::router(ctx.clone());
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stopped(&mut stop) => break,
            };
            match accepted {
                Ok((stream, from)) => {
                    let taken = tokio::select! {
                        taken = places.take() => taken,
                        () = stopped(&mut stop) => break,
                    };
                    let visit = Visit {
                        // 127.0.0.1 comes to a listener of IPv6 in another writing.
                        address: from.ip().to_canonical(),
                        taken,
                        router: router.clone(),
                        tls: self.tls.as_mut().map(Certified::acceptor),
                        stop: stop.clone(),
                    };
                    tokio::spawn(visit.receive(stream));
                }
                Err(error) => {
                    tracing::warn!(event = "accept_failed", %error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        ctx.live().close();
        let _late = timeout(CLOSE_TIMEOUT, places.empty()).await;
        Ok(())
    }
}

/// Ends when the door is told to close, or nobody can tell it any more.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // The borrow that this gives must not live across an await of the caller.
    let _told = stop.wait_for(|stop| *stop).await.is_ok();
}

/// One connection, from the accept to its end.
struct Visit {
    address: IpAddr,
    taken: Taken,
    router: Router,
    tls: Option<TlsAcceptor>,
    stop: watch::Receiver<bool>,
}

impl Visit {
    async fn receive(self, stream: TcpStream) {
        let local = stream.local_addr().map_or(self.address, |address| address.ip().to_canonical());
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let stream = Box::pin(stream);
        match self.tls.clone() {
            None => self.answer(stream, local, false).await,
            Some(tls) => {
                // A failed handshake is the peer's affair.
                if let Ok(Ok(stream)) = timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
                    self.answer(stream, local, true).await;
                }
            }
        }
    }

    /// Serves the connection to its end.
    async fn answer(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send, local: IpAddr, tls: bool) {
        let Visit { address, taken, router, mut stop, .. } = self;
        let place = Arc::clone(taken.place());
        let peer = Peer { address, local, tls, place: Arc::clone(&place) };
        let router = TowerToHyperService::new(router);
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer.clone());
            let (router, place) = (router.clone(), Arc::clone(&peer.place));
            async move {
                place.begin();
                let answer = router.call(request).await;
                place.end();
                answer
            }
        });
        let mut server = hyper::server::conn::http1::Builder::new();
        server
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .half_close(false);
        let connection = server.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let life = async {
            sleep(CONNECTION_TIMEOUT).await;
            if place.is_streaming() {
                sleep(STREAM_TIMEOUT - CONNECTION_TIMEOUT).await;
            }
        };
        tokio::select! {
            // What a peer does wrong on its own connection is its own affair.
            _ended = connection.as_mut() => return,
            () = place.told_to_leave() => return,
            () = stopped(&mut stop) => {}
            () = life => {}
        }
        connection.as_mut().graceful_shutdown();
        let _late = timeout(HEAD_TIMEOUT, connection).await;
    }
}
