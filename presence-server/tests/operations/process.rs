//! The real binary, with a folder of its own, and what it logs.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use presence_testkit::folder::Folder;
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_presence-server");

/// How long what must happen may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the binary until it ends.
pub(crate) fn run(arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(BINARY).args(arguments).stdin(Stdio::null()).output()?)
}

/// A server process that ends with the value.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) folder: Folder,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts a server that logs JSON.
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        let folder = Folder::made()?;
        let mut child = Command::new(BINARY)
            .args(["--listen", "127.0.0.1:0", "--log-format", "json"])
            .args(arguments)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("log"))?)
            .spawn()?;
        let output = child.stdout.take().context("the server says nothing")?;
        let mut banner = String::new();
        BufReader::new(output).read_line(&mut banner)?;
        let address = banner.split("http://").nth(1).and_then(|rest| rest.split_whitespace().next());
        let address = address.with_context(|| format!("no address in {banner:?}"))?.parse()?;
        Ok(Self { child, address, folder })
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(&mut self) -> Result<ExitStatus> {
        let status = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status()?;
        ensure!(status.success(), "cannot signal the server");
        Ok(self.child.wait()?)
    }

    /// Everything it has logged.
    pub(crate) fn log(&self) -> Result<String> {
        self.folder.read("log")
    }

    /// The same, line by line.
    pub(crate) fn log_lines(&self) -> Result<Vec<Value>> {
        let log = self.log()?;
        log.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }
}
