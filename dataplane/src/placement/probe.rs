//! Asks the kernel for an io_uring before glommio does: a ring of four entries is set up and closed.
//!
//! Level 5.
#![allow(unsafe_code, reason = "io_uring_setup has no safe interface outside a ring library")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use crate::net::ring;

/// Sets up the smallest ring and closes it.
pub(super) fn io_uring() -> io::Result<()> {
    let ring = ring::set_up(4, &mut ring::Params::default());
    if ring < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor and nobody else knows it.
    drop(unsafe { OwnedFd::from_raw_fd(ring) });
    Ok(())
}
