//! The unit, as systemd reads it.

use std::process::Command;

use anyhow::{Result, ensure};
use presence_testkit::folder::Folder;
use presence_testkit::program::{deployed_text, run};

/// systemd's own measure of what a service may do, in tenths: 100 is everything, 14 is what this one needs.
const EXPOSURE_MAX: &str = "20";

#[test]
fn the_unit_is_one_and_may_do_little() -> Result<()> {
    let folder = Folder::made()?;
    // The check wants to see the binary, whatever it is.
    let unit = deployed_text("systemd/presence-server.service")?
        .replace("/usr/local/bin/presence-server", "/bin/true");
    let unit = folder.write("presence-server.service", &unit)?;
    let said = run(Command::new("systemd-analyze").arg("verify").arg(&unit), "systemd")?;
    ensure!(said.trim().is_empty(), "{said}");
    let mut security = Command::new("systemd-analyze");
    security.args(["security", "--offline=yes", "--no-pager", "--threshold", EXPOSURE_MAX]).arg(&unit);
    run(&mut security, "systemd")?;
    Ok(())
}
