//! What can be done with a store beside serving with it: copy it, and see whether it is whole.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::config::Config;

/// Copies the store, and says so.
///
/// # Errors
/// If there is none, it can not be read, or the copy can not be written.
pub fn back_up(config: &Config, to: &Path) -> Result<String> {
    copy(&file_of(config)?, to)?;
    Ok(format!("{} is a copy of the store.\n", to.display()))
}

/// Reads all of the store and says that it is whole.
///
/// # Errors
/// Says what is wrong with it, or why it can not be read.
pub fn check(config: &Config) -> Result<String> {
    let file = file_of(config)?;
    let faults = faults(&file)?;
    if !faults.is_empty() {
        bail!("{} is not whole:\n  {}", file.display(), faults.join("\n  "));
    }
    Ok(format!("{} is whole.\n", file.display()))
}

fn file_of(config: &Config) -> Result<std::path::PathBuf> {
    let file = config.store_file().context("there is no store in a file: set `data_dir`")?;
    match file.try_exists() {
        Ok(true) => Ok(file),
        Ok(false) => bail!("there is no store at {}", file.display()),
        Err(error) => Err(error).with_context(|| format!("cannot look at {}", file.display())),
    }
}

#[cfg(feature = "sqlite")]
fn copy(file: &Path, to: &Path) -> Result<()> {
    super::sqlite::back_up(file, to).map_err(|why| anyhow::anyhow!("cannot copy {}: {why}", file.display()))
}

#[cfg(feature = "sqlite")]
fn faults(file: &Path) -> Result<Vec<String>> {
    super::sqlite::check(file).map_err(|why| anyhow::anyhow!("cannot read {}: {why}", file.display()))
}

#[cfg(not(feature = "sqlite"))]
fn copy(_: &Path, _: &Path) -> Result<()> {
    bail!("no store in a file is built in: build with `--features sqlite`")
}

#[cfg(not(feature = "sqlite"))]
fn faults(_: &Path) -> Result<Vec<String>> {
    bail!("no store in a file is built in: build with `--features sqlite`")
}
