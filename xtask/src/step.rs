//! One check of `cargo xtask test`: a command, and whether others wait for it.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::cargo::cargo;
use crate::metadata::Metadata;
use crate::provide::{Need, path};

/// One check: what it is called, and the command that repeats it.
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) program: &'static str,
    /// Where it runs, below the workspace.
    pub(crate) folder: &'static str,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Option<(&'static str, String)>,
    pub(crate) needs: &'static [Need],
    pub(crate) course: Course,
}

/// Whether the next check waits for this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    InTurn,
    /// It takes what the others leave of the processors; what it says is shown at the end.
    Beside,
}

impl Step {
    pub(crate) fn cargo(name: &str, arguments: &str) -> Self {
        Self::new("cargo", name, arguments)
    }

    pub(crate) fn new(program: &'static str, name: &str, arguments: &str) -> Self {
        let arguments = arguments.split(' ').map(str::to_owned).collect();
        let name = name.to_owned();
        Self { name, program, folder: "", arguments, environment: None, needs: &[], course: Course::InTurn }
    }

    /// As one would type it.
    pub(crate) fn shown(&self) -> String {
        let folder = if self.folder.is_empty() { String::new() } else { format!("cd {} && ", self.folder) };
        let environment =
            self.environment.as_ref().map_or(String::new(), |(name, value)| format!("{name}={value:?} "));
        format!("{folder}{environment}{} {}", self.program, self.arguments.join(" "))
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, metadata: &Metadata) -> Result<()> {
        let began = Instant::now();
        let mut command = match self.program {
            "cargo" => cargo(),
            other => Command::new(other),
        };
        let status = self.prepare(&mut command, metadata).status();
        self.judge(status.with_context(|| format!("cannot run {}", self.shown()))?.success(), began)
    }

    fn prepare<'a>(&self, command: &'a mut Command, metadata: &Metadata) -> &'a mut Command {
        command.args(&self.arguments).current_dir(metadata.workspace_root.join(self.folder));
        command.env("PATH", path()).envs(self.environment.clone())
    }

    fn judge(&self, good: bool, began: Instant) -> Result<()> {
        if !good {
            bail!("{} failed; repeat it with\n  {}", self.name, self.shown());
        }
        println!("   {} took {:.1} s", self.name, began.elapsed().as_secs_f64());
        Ok(())
    }
}

/// A check that runs beside others. It ends with them, if one of them fails.
pub(crate) struct Beside<'a> {
    step: &'a Step,
    child: Child,
    said: PathBuf,
    began: Instant,
}

impl<'a> Beside<'a> {
    pub(crate) fn start(step: &'a Step, metadata: &Metadata) -> Result<Self> {
        let folder = metadata.target_directory.join("check");
        fs::create_dir_all(&folder)?;
        let said = folder.join(format!("{}.txt", step.name.replace(' ', "-")));
        let output = File::create(&said)?;
        let mut command = Command::new("nice");
        command.args(["-n", "10", step.program]).stdout(output.try_clone()?).stderr(output);
        let child = step.prepare(&mut command, metadata).spawn();
        let child = child.with_context(|| format!("cannot run {}", step.shown()))?;
        println!("   it goes on beside the others, and writes to {}", said.display());
        Ok(Self { step, child, said, began: Instant::now() })
    }

    /// Waits for its end, and shows what it said.
    pub(crate) fn end(mut self) -> Result<()> {
        let status = self.child.wait()?;
        println!("── {}", self.step.name);
        print!("{}", fs::read_to_string(&self.said).unwrap_or_default());
        self.step.judge(status.success(), self.began)
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Metadata {
        Metadata::read().unwrap()
    }

    #[test]
    fn a_step_that_fails_says_how_to_repeat_it() {
        let step = Step { environment: Some(("WHY", "so".to_owned())), ..Step::new("test", "odd", "1 = 2") };
        let said = step.run(&workspace()).unwrap_err().to_string();
        assert_eq!(said, "odd failed; repeat it with\n  WHY=\"so\" test 1 = 2");
        Step { folder: "xtask", ..Step::new("test", "even", "-f src/step.rs") }.run(&workspace()).unwrap();
    }

    #[test]
    fn a_step_beside_others_is_judged_at_its_end() {
        let metadata = workspace();
        let [good, bad] = ["1 = 1", "1 = 2"].map(|what| Step::new("test", "step of a test", what));
        Beside::start(&good, &metadata).unwrap().end().unwrap();
        assert!(Beside::start(&bad, &metadata).unwrap().end().is_err());
    }

    #[test]
    fn a_step_beside_others_ends_when_one_of_them_fails() {
        let step = Step::new("sleep", "sleeping step of a test", "600");
        let running = Beside::start(&step, &workspace()).unwrap();
        let process = format!("/proc/{}", running.child.id());
        drop(running);
        assert!(!std::path::Path::new(&process).exists());
    }
}
