//! A folder for one test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};

/// A name that nothing has yet; what is put there goes with the value.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A folder that is not there yet.
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("presence-test-{}-{number}", std::process::id()));
        // Left behind by a process of the same number, if at all.
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    /// A folder that is there, with nothing in it.
    ///
    /// # Errors
    /// If the system does not let us.
    pub fn made() -> Result<Self> {
        let folder = Self::new();
        std::fs::create_dir_all(&folder.0)?;
        Ok(folder)
    }

    /// Writes a file, and gives its path.
    ///
    /// # Errors
    /// If the system does not let us.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// What stands in a file.
    ///
    /// # Errors
    /// If there is none.
    pub fn read(&self, name: &str) -> Result<String> {
        std::fs::read_to_string(self.0.join(name)).with_context(|| format!("cannot read {name}"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
