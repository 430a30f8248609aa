//! The programs that checks need beside Rust: found, installed, or named.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::Command;

use anyhow::{Result, ensure};

/// A program, and the Debian package that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
}

/// Where programs are looked for: also where Debian keeps those of administrators, such as nginx.
pub(crate) fn path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}

/// Installs what is missing, or says what that is.
pub(crate) fn provide(needs: &[&Need]) -> Result<()> {
    let lacking = missing(needs, has);
    if lacking.is_empty() {
        return Ok(());
    }
    if has("apt-get") {
        let install = command(&lacking);
        println!("── {install}");
        // Whether it went well shows in what is there then.
        let _ = Command::new("sh").args(["-c", &install]).status();
    }
    let lacking = missing(needs, has);
    ensure!(lacking.is_empty(), "{}", complaint(&lacking));
    Ok(())
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").env("PATH", path()).output().is_ok()
}

fn missing<'a>(needs: &[&'a Need], has: impl Fn(&str) -> bool) -> Vec<&'a Need> {
    needs.iter().copied().filter(|need| !has(need.program)).collect()
}

fn packages(needs: &[&Need]) -> String {
    let packages: BTreeSet<&str> = needs.iter().map(|need| need.package).collect();
    packages.into_iter().collect::<Vec<_>>().join(" ")
}

/// Installs them. The services among them must not start: their ports are not ours to take.
fn command(lacking: &[&Need]) -> String {
    let sudo = if has("sudo") { "sudo " } else { "" };
    let apt = format!("{sudo}env DEBIAN_FRONTEND=noninteractive SYSTEMD_OFFLINE=1 apt-get --yes --quiet");
    format!("{apt} update && {apt} install {}", packages(lacking))
}

fn complaint(lacking: &[&Need]) -> String {
    let programs: Vec<&str> = lacking.iter().map(|need| need.program).collect();
    format!(
        "this machine lacks {}, and they could not be installed; on Debian that is\n  apt-get install {}",
        programs.join(", "),
        packages(lacking)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: [&Need; 3] = [
        &Need { program: "promtool", package: "prometheus" },
        &Need { program: "prometheus", package: "prometheus" },
        &Need { program: "nginx", package: "nginx-light" },
    ];

    #[test]
    fn what_is_missing_is_named_with_its_packages() {
        let lacking = missing(&NEEDS, |program| program == "nginx");
        assert_eq!(lacking, NEEDS[..2]);
        let said = complaint(&lacking);
        assert!(said.contains("lacks promtool, prometheus,"), "{said}");
        assert!(said.ends_with("apt-get install prometheus"), "each package once: {said}");
        assert_eq!(packages(&NEEDS), "nginx-light prometheus");
    }
}
