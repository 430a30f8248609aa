//! File systems made for a row, which only a privileged process may make.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

/// Something that is mounted for as long as the value lives.
#[derive(Debug)]
pub struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        // Who still has a file open there does not keep it from going.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

impl Mount {
    /// A disk in memory of so many megabytes.
    ///
    /// # Errors
    /// If this process may not.
    pub fn small_disk(at: &Path, megabytes: u32) -> Result<Self> {
        mount(&["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"], at)?;
        Ok(Self(at.to_owned()))
    }

    /// A file or folder that can only be read.
    ///
    /// # Errors
    /// If this process may not.
    pub fn read_only(at: &Path) -> Result<Self> {
        mount(&["--bind", &at.display().to_string()], at)?;
        let mounted = Self(at.to_owned());
        mount(&["-o", "remount,ro,bind"], at)?;
        Ok(mounted)
    }
}

fn mount(arguments: &[&str], at: &Path) -> Result<()> {
    let output = Command::new("mount").args(arguments).arg(at).output()?;
    ensure!(output.status.success(), "mount: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
