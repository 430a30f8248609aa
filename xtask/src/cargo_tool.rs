//! Programs that cargo runs by a name of their own: found, installed, or named.

use std::process::Command;

use anyhow::{Result, bail, ensure};

/// Such a program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CargoTool {
    /// What cargo calls it.
    pub(crate) name: &'static str,
    /// The package that has it.
    pub(crate) package: &'static str,
    /// The version that is installed if there is none.
    pub(crate) version: &'static str,
}

impl CargoTool {
    /// Installs it if it is missing, or says how.
    pub(crate) fn provide(self) -> Result<()> {
        if self.is_there() {
            return Ok(());
        }
        println!("── {}", self.install());
        let mut words = self.install();
        words.drain(..words.find(' ').map_or(0, |at| at + 1));
        // Whether it went well shows in what is there then.
        let _ = Command::new("cargo").args(words.split(' ')).status();
        ensure!(
            self.is_there(),
            "this machine lacks cargo {}, and it could not be installed; do\n  {}",
            self.name,
            self.install()
        );
        Ok(())
    }

    fn is_there(self) -> bool {
        Command::new("cargo").args([self.name, "--version"]).output().is_ok_and(|said| said.status.success())
    }

    fn install(self) -> String {
        format!("cargo install --locked {} --version {}", self.package, self.version)
    }
}

/// Installs a component of the toolchain if it is missing, or says how. Without rustup the toolchain is what it is.
pub(crate) fn has_component(component: &str) -> Result<()> {
    let rustup = |arguments: &[&str]| Command::new("rustup").args(arguments).output();
    let Ok(installed) = rustup(&["component", "list", "--installed"]) else { return Ok(()) };
    if String::from_utf8_lossy(&installed.stdout).lines().any(|line| line.starts_with(component)) {
        return Ok(());
    }
    println!("── rustup component add {component}");
    let added = rustup(&["component", "add", component]);
    if !added.is_ok_and(|added| added.status.success()) {
        bail!(
            "the toolchain lacks {component}, and it could not be installed; do\n  rustup component add {component}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_installed_and_what_is_not_is_named_with_its_version() {
        let format = CargoTool { name: "fmt", package: "rustfmt", version: "0" };
        assert!(format.is_there());
        let nothing = CargoTool { name: "no-such-thing", package: "cargo-no-such-thing", version: "1.2.3" };
        assert!(!nothing.is_there());
        assert_eq!(nothing.install(), "cargo install --locked cargo-no-such-thing --version 1.2.3");
    }
}
