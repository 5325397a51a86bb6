//! Folders for what a scenario writes: under `target/scratch`, gone when it passes, kept when it fails.
//!
//! Named by process, so that leftovers of a killed run are swept by the next one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use crate::root;

/// A folder of one scenario's own.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

static SWEPT: Once = Once::new();
static NEXT: AtomicU32 = AtomicU32::new(0);

impl Scratch {
    /// Makes a fresh folder.
    ///
    /// # Errors
    /// `target` cannot be written to.
    pub fn new(name: &str) -> Result<Scratch> {
        let all = root().join("target/scratch");
        SWEPT.call_once(|| sweep(&all));
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = all.join(std::process::id().to_string()).join(format!("{number}-{name}"));
        fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Scratch { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept for a look: {}", self.path.display());
            return;
        }
        // What cannot be removed now is swept by the next run.
        let _left = fs::remove_dir_all(&self.path);
        if let Some(parent) = self.path.parent() {
            let _others_are_in_it = fs::remove_dir(parent);
        }
    }
}

/// Removes folders of processes that are gone.
fn sweep(all: &Path) {
    let Ok(entries) = fs::read_dir(all) else { return };
    for entry in entries.flatten() {
        let alive = Path::new("/proc").join(entry.file_name()).exists();
        if !alive {
            let _left = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_folder_ends_with_its_owner() {
        let scratch = Scratch::new("mine").unwrap();
        fs::write(scratch.join("file"), "x").unwrap();
        let path = scratch.path().to_owned();
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn folders_of_dead_processes_are_swept() {
        let folder = Scratch::new("sweep").unwrap();
        // Above the largest process id that Linux gives (2^22).
        let dead = folder.join("99999999");
        let alive = folder.join(&std::process::id().to_string());
        fs::create_dir(&dead).unwrap();
        fs::create_dir(&alive).unwrap();
        sweep(folder.path());
        assert!(!dead.exists() && alive.exists());
    }
}
