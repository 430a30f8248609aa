//! The real binary, with a folder of its own, and what it logs.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use presence_testkit::folder::Folder;
use presence_testkit::server_process::ServerProcess;
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_presence-server");

/// How long what must happen may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the binary until it ends.
pub(crate) fn run(arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(BINARY).args(arguments).stdin(Stdio::null()).output()?)
}

/// A server process that ends with the value, and its log.
pub(crate) struct Process {
    server: ServerProcess,
    pub(crate) address: SocketAddr,
    pub(crate) folder: Folder,
}

impl Process {
    /// Starts a server that logs JSON.
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        let folder = Folder::made()?;
        let mut command = Command::new(BINARY);
        command.args(["--listen", "127.0.0.1:0", "--log-format", "json"]).args(arguments);
        command.envs(variables.iter().copied()).stderr(File::create(folder.path().join("log"))?);
        let server = ServerProcess::spawn(&mut command)?;
        Ok(Self { address: server.address, server, folder })
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(&mut self) -> Result<ExitStatus> {
        self.server.stop()
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
