//! The one step from std's sockets into glommio's that has no safe form.
//!
//! Level 2.
#![allow(unsafe_code, reason = "glommio takes foreign sockets as raw descriptors only")]

use std::os::fd::{FromRawFd, IntoRawFd};
use std::os::unix::net::UnixStream;

/// Gives a socket to glommio. Must be called on an executor's thread.
pub(super) fn into_glommio(stream: UnixStream) -> glommio::net::UnixStream {
    // SAFETY: `into_raw_fd` gives up the only owner of an open, connected Unix stream socket, and the new
    // stream becomes its only owner.
    unsafe { glommio::net::UnixStream::from_raw_fd(stream.into_raw_fd()) }
}
