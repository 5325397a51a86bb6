//! How the shards' rings are set up: without an interrupt for each completion.
//!
//! Level 2. By default the kernel interrupts a thread on its core to finish what another core has brought it, a
//! socket's data for example; a shard enters the kernel all the time and would see it a few microseconds later
//! anyway. `IORING_SETUP_COOP_TASKRUN` (Linux 5.19) leaves the interrupt out: measured, 12 % of a shard's CPU
//! and a fifth of the servers'. glommio 0.9 has no setting for it, so the program's linker is told to call
//! [`__wrap___sys_io_uring_setup`] in the place of liburing's own function (`--wrap`, see controlplane/build.rs).
//! A program that is linked without it has rings as glommio makes them. Source: io_uring_setup(2).
#![allow(unsafe_code, reason = "a ring is set up by a system call; glommio offers no flags for it")]

use std::cell::Cell;
use std::ffi::{c_int, c_uint};

const COOP_TASKRUN: u32 = 1 << 8;

/// `struct io_uring_params`, 120 bytes: the third number is `flags`. Source: io_uring_setup(2).
pub(crate) type Params = [u32; 30];
const FLAGS: usize = 2;

thread_local! {
    static GRANTED: Cell<bool> = const { Cell::new(false) };
}

/// Whether the kernel has granted it to the rings of this thread.
pub(crate) fn is_cooperative() -> bool {
    GRANTED.get()
}

/// What liburing calls for each ring; returns as the system call does, with the error in `errno`.
///
/// # Safety
/// `params` points to 120 bytes that may be read and written.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap___sys_io_uring_setup(entries: c_uint, params: *mut Params) -> c_int {
    // SAFETY: by the caller's promise; liburing's own function has the same contract.
    let params = unsafe { &mut *params };
    let asked = params[FLAGS];
    params[FLAGS] = asked | COOP_TASKRUN;
    let ring = set_up(entries, params);
    if ring >= 0 {
        GRANTED.set(true);
        return ring;
    }
    // An older kernel knows no such flag. Any other reason will show again.
    params[FLAGS] = asked;
    set_up(entries, params)
}

/// The system call itself.
pub(crate) fn set_up(entries: c_uint, params: &mut Params) -> c_int {
    // SAFETY: the kernel reads and writes 120 bytes at the address given, which `params` has; the number of
    // entries is passed by value.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, entries, params.as_mut_ptr()) };
    // Lossless: a descriptor or -1.
    ring as c_int
}

#[cfg(test)]
mod tests {
    use std::os::fd::{FromRawFd, OwnedFd};

    use super::*;

    fn ring(entries: c_uint) -> Option<(OwnedFd, Params)> {
        let mut params = [0; 30];
        // SAFETY: 120 bytes of our own.
        let ring = unsafe { __wrap___sys_io_uring_setup(entries, &raw mut params) };
        // SAFETY: a new descriptor that nobody else knows.
        (ring >= 0).then(|| (unsafe { OwnedFd::from_raw_fd(ring) }, params))
    }

    #[test]
    fn a_ring_is_set_up_and_what_the_kernel_says_is_kept() {
        let (_ring, params) = ring(4).unwrap();
        assert_eq!((params[0], params[1]), (4, 8), "entries of both queues, as the kernel wrote them");
        assert_eq!(is_cooperative(), params[FLAGS] & COOP_TASKRUN != 0);
    }

    #[test]
    fn a_refusal_stays_one() {
        assert!(ring(0).is_none());
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EINVAL));
        assert!(!is_cooperative());
    }
}
