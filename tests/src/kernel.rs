//! What the tests ask of the kernel and std does not offer: a cage for a child, signals to a whole process
//! group, a connection that ends in a reset.
//!
//! The only module of the tests with `unsafe` code. Nothing here outlives the child that it is applied to.
#![allow(
    unsafe_code,
    reason = "system calls without a safe interface in std; each block says why it is sound"
)]

use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// How io_uring is refused to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As a container's seccomp profile does it.
    NotPermitted,
    /// As a kernel without io_uring does it.
    NotImplemented,
}

/// Limits of a child, set between fork and exec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cage {
    /// Refuses `io_uring_setup`, `io_uring_enter` and `io_uring_register`.
    pub io_uring: Option<Refusal>,
    /// RLIMIT_MEMLOCK, soft and hard, bytes.
    pub memlock_bytes_max: Option<u64>,
    /// RLIMIT_NOFILE, soft and hard.
    pub files_max: Option<u64>,
}

/// Numbers of the three calls, the same on every architecture. Source: include/uapi/asm-generic/unistd.h.
const IO_URING_FIRST: u32 = 425;
const IO_URING_LAST: u32 = 427;

impl Cage {
    /// Puts the child of `command` into the cage, and makes it end with the thread that starts it.
    pub fn close(&self, command: &mut Command) {
        let cage = self.clone();
        // SAFETY: the closure runs between fork and exec; it makes only system calls that are
        // async-signal-safe, allocates nothing and takes no lock.
        unsafe { command.pre_exec(move || cage.apply()) };
    }

    fn apply(&self) -> io::Result<()> {
        // SAFETY: prctl with integer arguments touches no memory.
        check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
        if let Some(bytes) = self.memlock_bytes_max {
            limit(libc::RLIMIT_MEMLOCK, bytes)?;
        }
        if let Some(files) = self.files_max {
            limit(libc::RLIMIT_NOFILE, files)?;
        }
        match self.io_uring {
            Some(Refusal::NotPermitted) => refuse_io_uring(libc::EPERM),
            Some(Refusal::NotImplemented) => refuse_io_uring(libc::ENOSYS),
            None => Ok(()),
        }
    }
}

fn limit(resource: libc::__rlimit_resource_t, value: u64) -> io::Result<()> {
    let limits = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: `limits` lives through the call, which only reads it.
    check(unsafe { libc::setrlimit(resource, &limits) })
}

/// Installs a filter of five instructions: calls 425 to 427 fail with `errno`, all others pass.
fn refuse_io_uring(errno: i32) -> io::Result<()> {
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let at_least = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    let answer = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut filter = [
        // The call's number is the first field of `struct seccomp_data`.
        step(load, 0, 0, 0),
        step(at_least, 0, 2, IO_URING_FIRST),
        step(at_least, 1, 0, IO_URING_LAST + 1),
        step(answer, 0, 0, libc::SECCOMP_RET_ERRNO | (errno as u32 & libc::SECCOMP_RET_DATA)),
        step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: prctl with integer arguments touches no memory.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    // SAFETY: `program` and `filter` live through the call, which copies them into the kernel.
    check(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) })
}

fn check(answer: i32) -> io::Result<()> {
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Signals that scenarios send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
    /// SIGHUP.
    HangUp,
    /// SIGUSR1.
    User1,
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Continue,
    /// SIGKILL.
    Kill,
}

/// Sends a signal to a process group of a child that has not been waited for, so that its number is still
/// its own.
///
/// # Errors
/// The group is gone.
pub fn signal_group(group: u32, signal: Signal) -> io::Result<()> {
    let number = match signal {
        Signal::Terminate => libc::SIGTERM,
        Signal::Interrupt => libc::SIGINT,
        Signal::HangUp => libc::SIGHUP,
        Signal::User1 => libc::SIGUSR1,
        Signal::Stop => libc::SIGSTOP,
        Signal::Continue => libc::SIGCONT,
        Signal::Kill => libc::SIGKILL,
    };
    let group = i32::try_from(group).map_err(io::Error::other)?;
    // SAFETY: kill(2) takes integers only.
    check(unsafe { libc::kill(-group, number) })
}

/// Makes the close of a connection a reset (RST) instead of an orderly end.
///
/// # Errors
/// The socket is gone.
pub fn reset_on_close(stream: &TcpStream) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let length = size_of::<libc::linger>() as libc::socklen_t;
    // SAFETY: `linger` lives through the call, which reads `length` bytes of it; the descriptor is open
    // while `stream` is borrowed.
    check(unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            length,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(cage: &Cage, script: &str) -> String {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        cage.close(&mut command);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }

    #[test]
    fn an_open_cage_changes_nothing() {
        assert!(output(&Cage::default(), "grep Seccomp: /proc/self/status").contains('0'));
    }

    #[test]
    fn a_cage_that_refuses_io_uring_runs_under_a_filter() {
        let cage = Cage { io_uring: Some(Refusal::NotPermitted), ..Cage::default() };
        assert!(output(&cage, "grep Seccomp: /proc/self/status").contains('2'));
    }

    #[test]
    fn limits_hold_in_the_child_only() {
        let cage = Cage { memlock_bytes_max: Some(64 << 10), files_max: Some(50), ..Cage::default() };
        let script = "grep 'locked memory' /proc/self/limits; ulimit -n";
        let found = output(&cage, script);
        assert!(found.contains("65536"), "{found}");
        assert!(found.ends_with("50\n"), "{found}");
        assert!(
            !std::fs::read_to_string("/proc/self/limits").unwrap().contains("65536                65536")
        );
    }
}
