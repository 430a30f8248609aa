//! The server's binary as a process of its own, as whoever operates it has it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// How long a server may take to stop, whatever its clients do.
const DRAIN: Duration = Duration::from_secs(20);

/// A server process that ends with the value.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    /// Where it says it listens.
    pub address: SocketAddr,
    /// `http` or `https`, as it says.
    pub scheme: String,
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl ServerProcess {
    /// Starts a server, and waits until it says where it listens.
    ///
    /// # Errors
    /// If it does not start, or says something else.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("the server says nothing")?;
        let mut banner = String::new();
        BufReader::new(output).read_line(&mut banner)?;
        let address = banner.split_whitespace().find_map(|word| word.split_once("://"));
        let (scheme, address) = address.with_context(|| format!("no address in {banner:?}"))?;
        let (scheme, address) = (scheme.to_owned(), address.parse()?);
        Ok(Self { child, address, scheme })
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its log, if that was piped and nobody has taken it.
    pub fn log(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Sends it a signal, by its name without `SIG`.
    ///
    /// # Errors
    /// If there is no such process any more.
    pub fn signal(&self, name: &str) -> Result<()> {
        signal(&self.child.id().to_string(), name)
    }

    /// Waits for its end, as long as a stopping server may take.
    ///
    /// # Errors
    /// If it takes longer; then it is killed.
    pub async fn ended(mut self) -> Result<ExitStatus> {
        let id = self.child.id().to_string();
        let ending = tokio::task::spawn_blocking(move || self.child.wait());
        match tokio::time::timeout(DRAIN, ending).await {
            Ok(ended) => Ok(ended??),
            Err(_) => {
                signal(&id, "KILL")?;
                bail!("it takes longer than {DRAIN:?} to stop")
            }
        }
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// If there is no such process any more.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.signal("TERM")?;
        Ok(self.child.wait()?)
    }
}

fn signal(process: &str, name: &str) -> Result<()> {
    let status = Command::new("kill").args(["-s", name, process]).status()?;
    ensure!(status.success(), "cannot signal the server");
    Ok(())
}
