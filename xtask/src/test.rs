//! `cargo xtask test`: all checks, in the order in which they fail fastest.

use std::ffi::OsString;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::metadata::Metadata;

/// One check: what it is called, and the command that repeats it.
struct Step {
    name: String,
    arguments: Vec<String>,
    environment: Option<(&'static str, &'static str)>,
    /// Programs that it needs, and the Debian packages that have them.
    needs: &'static [(&'static str, &'static str)],
}

impl Step {
    fn cargo(name: &str, arguments: &str) -> Self {
        let arguments = arguments.split(' ').map(str::to_owned).collect();
        Self { name: name.to_owned(), arguments, environment: None, needs: &[] }
    }

    fn shown(&self) -> String {
        let environment =
            self.environment.map_or(String::new(), |(name, value)| format!("{name}={value:?} "));
        format!("{environment}cargo {}", self.arguments.join(" "))
    }
}

/// Runs all checks; stops at the first that fails and says how to repeat it.
pub(crate) fn run() -> Result<()> {
    let metadata = Metadata::read()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let began = Instant::now();
    let steps = steps(&metadata)?;
    for (number, step) in steps.iter().enumerate() {
        println!("── {}/{} {}: {}", number + 1, steps.len(), step.name, step.shown());
        let started = Instant::now();
        provide(step.needs)?;
        let mut command = Command::new(&cargo);
        command.args(&step.arguments).current_dir(&metadata.workspace_root);
        command.envs(step.environment);
        let status = command.status().with_context(|| format!("cannot run {}", step.shown()))?;
        if !status.success() {
            bail!("{} failed; repeat it with\n  {}", step.name, step.shown());
        }
        println!("   {} took {:.1} s", step.name, started.elapsed().as_secs_f64());
    }
    println!("── all {} checks passed in {:.0} s", steps.len(), began.elapsed().as_secs_f64());
    Ok(())
}

/// Installs what is missing, or says what that is.
fn provide(needs: &[(&str, &str)]) -> Result<()> {
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let missing: Vec<&str> =
        needs.iter().filter(|(program, _)| !there(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let shown = format!("apt-get install --yes {}", missing.join(" "));
    println!("   {shown}");
    let sudo = if there("sudo") { "sudo " } else { "" };
    let install =
        format!("{sudo}apt-get update --quiet && {sudo}apt-get install --yes --quiet {}", missing.join(" "));
    let status = Command::new("sh").args(["-c", &install]).env("DEBIAN_FRONTEND", "noninteractive").status();
    let installed = status.is_ok_and(|status| status.success());
    ensure!(
        installed && needs.iter().all(|(program, _)| there(program)),
        "this machine lacks what {shown} brings"
    );
    Ok(())
}

fn steps(metadata: &Metadata) -> Result<Vec<Step>> {
    let mut steps = vec![
        Step::cargo("format", "fmt --all --check"),
        Step::cargo("layers", "xtask layers"),
        Step::cargo("tidy", "xtask tidy"),
        Step::cargo("supply", "xtask supply"),
        Step::cargo("lints", "clippy --quiet --workspace --all-targets --locked -- -D warnings"),
    ];
    // A feature makes a kind possible; each must build alone, and none of them too.
    let build = "check --quiet --package presence-server --all-targets --locked --no-default-features";
    steps.push(Step::cargo("no feature", build));
    let features =
        metadata.member("presence-server")?.features.keys().filter(|feature| *feature != "default");
    steps.extend(
        features.map(|feature| {
            Step::cargo(&format!("feature {feature}"), &format!("{build} --features {feature}"))
        }),
    );
    steps.push(Step {
        environment: Some(("RUSTDOCFLAGS", "-D warnings")),
        ..Step::cargo("documents", "doc --quiet --workspace --no-deps --locked")
    });
    steps.push(Step::cargo("tests", "test --workspace --locked"));
    steps.push(Step {
        needs: &[("chromium", "chromium"), ("chromedriver", "chromium-driver")],
        ..Step::cargo("browser", "test --package presence-testkit --locked --features browser --test browser")
    });
    Ok(steps)
}
