//! Wake-ups from other threads into a shard, through a socket that its ring watches.
//!
//! Level 2. glommio's own cross-thread wake takes up to 100 ms on a busy executor; a readable socket takes
//! one turn of its loop. A socket pair, because glommio reads with recv(2), which neither a pipe nor an
//! eventfd takes.

use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_lite::AsyncReadExt;

/// Both ends, before the shard runs.
pub(crate) struct WakePair {
    read: UnixStream,
    handle: WakeHandle,
}

/// The end that wakes: any thread may have a clone.
#[derive(Clone)]
pub(crate) struct WakeHandle {
    write: Arc<UnixStream>,
    /// A byte is on its way that the reader has not taken.
    rung: Arc<AtomicBool>,
}

/// The end that a task of the shard waits at.
pub(crate) struct WakeReader {
    read: glommio::net::UnixStream,
    rung: Arc<AtomicBool>,
}

impl WakePair {
    /// A non-blocking socket pair.
    ///
    /// # Errors
    /// No file descriptors are left.
    pub(crate) fn new() -> io::Result<WakePair> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        Ok(WakePair { read, handle: WakeHandle { write: Arc::new(write), rung: Arc::default() } })
    }

    /// A handle that wakes the reader.
    pub(crate) fn handle(&self) -> WakeHandle {
        self.handle.clone()
    }

    /// The reader, on the executor that waits.
    pub(crate) fn into_reader(self) -> WakeReader {
        WakeReader { read: super::sys::into_glommio(self.read), rung: self.handle.rung }
    }
}

impl WakeHandle {
    /// The socket that wakes the reader when a byte is written to it: for librdkafka. It stays open as long
    /// as this handle or a clone of it.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.write.as_raw_fd()
    }

    /// Wakes the reader; cheap when it has been woken already. Never blocks.
    pub(crate) fn wake(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // A full socket means that the reader has bytes to wake up for.
            let _unless_full = (&*self.write).write(&[1]);
        }
    }
}

impl WakeReader {
    /// Waits to be woken. What was put in place before the wake is visible afterwards; look at everything,
    /// because several wakes may have become one. An error means that nobody is left to wake.
    pub(crate) async fn wait(&mut self) -> io::Result<()> {
        let mut bytes = [0; 64];
        let read = self.read.read(&mut bytes).await?;
        // From here on a wake writes again. The swap also acquires what a wake that wrote nothing has put
        // in place, so that the look which follows sees it.
        self.rung.swap(false, Ordering::AcqRel);
        if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}
