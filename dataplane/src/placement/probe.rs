//! Asks the kernel for an io_uring before glommio does.
//!
//! Level 5. The only system call that std and glommio leave us: a ring of four entries is set up and closed.
#![allow(unsafe_code, reason = "io_uring_setup has no safe interface outside a ring library")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// `struct io_uring_params` is 120 bytes. Source: io_uring_setup(2).
const PARAMS_WORDS: usize = 15;

/// Sets up the smallest ring and closes it.
pub(super) fn io_uring() -> io::Result<()> {
    let mut params = [0_u64; PARAMS_WORDS];
    // SAFETY: the kernel reads and writes 120 bytes at the address given, which `params` has; the entry
    // count is passed by value.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, params.as_mut_ptr()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(fd).map_err(|_| io::Error::other("no file descriptor"))?;
    // SAFETY: the kernel just gave us this descriptor and nobody else knows it.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    Ok(())
}
