//! The HTTP door: an accept loop of our own with limits, on a loopback address.
//!
//! Limits stand here and not in the router, so that no route can forget them: connections, time for a head,
//! life of a connection, size of a body. Nothing here writes: all routes read the board.

mod page;
mod routes;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::board::Board;
use crate::exit::Failure;

/// Connections at a time; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 64;
/// Time for a request's head, and for an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Life of a connection: a peer that reads slowly cannot keep a place.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// Size of a request's head.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Headers in a request.
const HEADERS_MAX: usize = 64;
/// Pause after a failed accept: out of descriptors, another try at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Time for answers under way when the door closes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A bound address that nobody is let in at yet.
pub(crate) struct Door {
    listener: std::net::TcpListener,
    address: SocketAddr,
}

impl Door {
    /// Takes the address.
    ///
    /// # Errors
    /// It is taken, or may not be used. Exit code 78.
    pub(crate) fn bind(listen: &str) -> Result<Door, Failure> {
        let refuse = |error: io::Error| {
            let taken = error.kind() == io::ErrorKind::AddrInUse;
            let remedy = if taken {
                "another process listens there; try --listen 127.0.0.1:0"
            } else {
                "choose another api.listen"
            };
            Failure::config(format!("api.listen: {listen}: {error}"), remedy)
        };
        let listener = std::net::TcpListener::bind(listen).map_err(refuse)?;
        listener.set_nonblocking(true).map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        Ok(Door { listener, address })
    }

    /// The address with its real port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until told to stop; answers under way are finished.
    ///
    /// # Errors
    /// The listener cannot be watched.
    pub(crate) async fn serve(self, board: Arc<Board>, mut stop: watch::Receiver<bool>) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let router = routes::router(board);
        loop {
            let place = tokio::select! {
                place = Arc::clone(&places).acquire_owned() => place,
                () = stopped(&mut stop) => break,
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stopped(&mut stop) => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (router, stop) = (router.clone(), stop.clone());
                    tokio::spawn(async move {
                        answer(stream, router, stop).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(event = "accept_failed", %error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        let _late = timeout(CLOSE_TIMEOUT, places.acquire_many(CONNECTIONS_MAX as u32)).await;
        Ok(())
    }
}

/// Ends when the door is told to close, or nobody can tell it any more.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // The borrow that this gives must not live across an await of the caller.
    let _told = stop.wait_for(|stop| *stop).await.is_ok();
}

/// Serves one connection to its end.
async fn answer(stream: TcpStream, router: Router, mut stop: watch::Receiver<bool>) {
    let service = TowerToHyperService::new(router);
    let mut server = hyper::server::conn::http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .half_close(false);
    let connection = server.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = timeout(CONNECTION_TIMEOUT, async {
        tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopped(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                connection.as_mut().await
            }
        }
    });
    // What a peer does wrong on its own connection is its own affair.
    let _ended: Result<Result<(), hyper::Error>, _> = ended.await;
}
