//! Other people's programs: run to their end, or for as long as a test needs them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::net::TcpStream;
use tokio::time::interval;

use crate::folder::Folder;

/// How long a program may take to start, or to see what it should.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often one looks.
const LOOK: Duration = Duration::from_millis(100);

/// A file in the repository's folder `deploy`.
pub fn deployed(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "deploy", name].iter().collect()
}

/// What stands in it.
///
/// # Errors
/// If there is no such file.
pub fn deployed_text(name: &str) -> Result<String> {
    fs::read_to_string(deployed(name)).with_context(|| format!("cannot read {name}"))
}

/// Runs a program to its end, and gives what it said. `package` is where Debian has it.
///
/// # Errors
/// If it does not end well, with what it said.
pub fn run(command: &mut Command, package: &str) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("there is no {name}: apt-get install {package}"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(output.status.success(), "{name} ended with {}:\n{said}", output.status);
    Ok(said)
}

/// A program that listens, and ends with the value. What it says is in the file `said` of its folder.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its folder.
    pub folder: Folder,
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// Starts a program that `command` prepares for an address, and waits until it accepts connections there.
    ///
    /// # Errors
    /// If it does not, with what it said.
    pub async fn start(
        package: &str,
        command: impl Fn(&Folder, SocketAddr) -> Result<Command>,
    ) -> Result<Self> {
        let mut said = String::new();
        // None of these programs chooses a port by itself, and another may take the one that was free a moment ago.
        for _ in 0..3 {
            let address = free_address()?;
            let folder = Folder::made()?;
            let mut command = command(&folder, address)?;
            let output = fs::File::create(folder.path().join("said"))?;
            command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
            let name = command.get_program().to_string_lossy().into_owned();
            let child =
                command.spawn().with_context(|| format!("there is no {name}: apt-get install {package}"))?;
            let mut program = Self { child, address, folder };
            if program.accepts().await? {
                return Ok(program);
            }
            said = program.folder.read("said")?;
        }
        bail!("the program from {package} does not start:\n{said}")
    }

    /// Whether it accepts connections at last, or has ended instead.
    async fn accepts(&mut self) -> Result<bool> {
        let mut look = interval(LOOK);
        let search = async {
            loop {
                look.tick().await;
                if TcpStream::connect(self.address).await.is_ok() {
                    return Ok(true);
                }
                if self.child.try_wait()?.is_some() {
                    return Ok(false);
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.context("it does not listen in time")?
    }

    /// Asks it to end in its own way, and waits for that.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub fn stop(&mut self) -> Result<()> {
        run(Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]), "coreutils")?;
        self.child.wait()?;
        Ok(())
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Looks until something is there.
///
/// # Errors
/// If it is not there in time, or looking fails.
pub async fn until<T>(what: &str, look_once: impl AsyncFn() -> Result<Option<T>>) -> Result<T> {
    let mut look = interval(LOOK);
    let search = async {
        loop {
            look.tick().await;
            if let Some(found) = look_once().await? {
                return Ok(found);
            }
        }
    };
    tokio::time::timeout(PATIENCE, search).await.with_context(|| format!("not in time: {what}"))?
}
