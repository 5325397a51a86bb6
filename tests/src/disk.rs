//! A disk of a few megabytes that a scenario can fill: a tmpfs in its scratch folder, unmounted when dropped.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::scratch::Scratch;

/// A small disk.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    _scratch: Scratch,
}

impl Disk {
    /// Mounts one. It takes root, or a sudo that asks nothing.
    ///
    /// # Errors
    /// The mount is refused.
    pub fn new(bytes: u64) -> Result<Disk> {
        let scratch = Scratch::new("disk")?;
        let path = scratch.join("mounted");
        fs::create_dir(&path)?;
        as_root(
            Command::new("mount")
                .args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=0777"), "millrace"])
                .arg(&path),
        )?;
        Ok(Disk { path, _scratch: scratch })
    }

    /// Its root.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fills it to the last byte.
    ///
    /// # Errors
    /// Something else than a full disk ends the writing.
    pub fn fill(&self) -> Result<()> {
        let mut file = fs::File::create(self.path.join("filler"))?;
        for block in [64 << 10, 1] {
            let zeros = vec![0; block];
            loop {
                match file.write_all(&zeros) {
                    Ok(()) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                    Err(error) => bail!("{}: {error}", self.path.display()),
                }
            }
        }
        Ok(())
    }

    /// Gives the space back.
    ///
    /// # Errors
    /// It was not filled.
    pub fn free(&self) -> Result<()> {
        fs::remove_file(self.path.join("filler")).context("it was not filled")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that is killed in the same moment may hold a file of it yet.
        let _left = as_root(Command::new("umount").arg("--lazy").arg(&self.path));
    }
}

/// Runs a command as root.
fn as_root(command: &Command) -> Result<()> {
    let program = command.get_program().to_owned();
    let arguments = command.get_args();
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let mut command = if is_root {
        Command::new(program)
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("-n").arg(program);
        sudo
    };
    command.args(arguments);
    let done = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(())
}
