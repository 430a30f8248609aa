//! What can be asked of the binary beside serving.

use std::net::TcpListener;

use anyhow::{Result, ensure};
use presence_testkit::folder::Folder;

use crate::process::{Process, run};

#[test]
fn config_check_shows_what_is_in_effect() -> Result<()> {
    let folder = Folder::made()?;
    let file = folder.write("presence.toml", "tick_ms = 20\n")?;
    let output = run(&["config", "check", "--config", file.to_str().unwrap(), "--grace-ms", "4000"])?;
    let said = String::from_utf8(output.stdout)?;
    ensure!(output.status.code() == Some(0), "{:?}: {said}", output.status);
    ensure!(said.starts_with("# The configuration is good."), "{said}");
    ensure!(said.contains("\ntick_ms = 20  # default: 33\n"), "{said}");
    ensure!(said.contains("\ngrace_ms = 4000  # default: 15000\n"), "{said}");
    // What was shown can be served with.
    let shown = folder.write("shown.toml", &said)?;
    let output = run(&["config", "check", "--config", shown.to_str().unwrap()])?;
    ensure!(output.status.success(), "{output:?}");
    Ok(())
}

#[test]
fn config_check_says_what_is_wrong() -> Result<()> {
    let output = run(&["config", "check", "--heartbeat-timeout-ms", "60000"])?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(64) && said.contains("`heartbeat_timeout`"), "{said}");
    ensure!(output.stdout.is_empty(), "nothing is called good");
    Ok(())
}

#[test]
fn config_reference_is_a_page() -> Result<()> {
    let output = run(&["config", "reference"])?;
    let said = String::from_utf8(output.stdout)?;
    ensure!(output.status.success() && said.starts_with("# Settings\n"), "{said}");
    Ok(())
}

#[test]
fn healthcheck_says_whether_the_server_is_ready() -> Result<()> {
    let mut server = Process::start(&[], &[])?;
    let address = server.address.to_string();
    let healthy = run(&["healthcheck", "--listen", &address])?;
    ensure!(healthy.status.code() == Some(0), "{healthy:?}");
    ensure!(server.stop()?.code() == Some(0), "the server did not end in good order");
    let gone = run(&["healthcheck", "--listen", &address])?;
    ensure!(gone.status.code() == Some(1), "{gone:?}");
    Ok(())
}

#[test]
fn healthcheck_does_not_wait_for_ever() -> Result<()> {
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let output = run(&["healthcheck", "--listen", &silent.local_addr()?.to_string()])?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(1) && said.contains("did not answer in"), "{said}");
    Ok(())
}
