//! `cargo xtask fuzz`: the fuzz targets of the folder `fuzz`, on any Rust.
//!
//! libFuzzer comes as a crate and coverage as passes of LLVM that a stable compiler has too, so that nothing has to be
//! installed. What cargo-fuzz adds to that are sanitizers, which need a nightly compiler and look for what `unsafe` code
//! does wrong; this project has none. Panics, overflows, failed assertions, hangs and memory without bound are found all
//! the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::metadata::Metadata;

const HELP: &str = "\
cargo xtask fuzz [target…] [--seconds N | --minutes N] [--keep]

Runs each target for N seconds (30 if not given), beginning with the inputs in fuzz/corpus. What it finds on the way lies
in target/fuzz/corpus; --keep takes the smallest set of it that covers as much into fuzz/corpus. An input that fails is in
target/fuzz/failures, and `cargo xtask fuzz <target> --input <file>` repeats it.
";

/// Coverage as cargo-fuzz asks for it. One unit for each crate: tables of several do not fit together.
const RUSTFLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// Mebibytes that a target may use.
const MEMORY_MAX: u32 = 1024;

/// Seconds that one input may take, on a machine that has other things to do.
const INPUT_SECONDS_MAX: u32 = 60;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    targets: Vec<String>,
    time: Duration,
    keep: bool,
    input: Option<PathBuf>,
}

/// Runs what is asked for, one target after the other; stops at the first that finds something.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if arguments.iter().any(|argument| argument == "--help") {
        print!("{HELP}");
        return Ok(());
    }
    let place = Place::find()?;
    let mut asked = read(arguments)?;
    let known = targets(&place.folder)?;
    if let Some(unknown) = asked.targets.iter().find(|target| !known.contains(target)) {
        bail!("there is no fuzz target `{unknown}`, only {}", known.join(", "));
    }
    if asked.targets.is_empty() {
        asked.targets = known;
    }
    place.build(&asked.targets)?;
    for target in &asked.targets {
        match &asked.input {
            Some(input) => place.repeat(target, input)?,
            None => place.search(target, asked.time)?,
        }
        if asked.keep {
            place.keep(target)?;
        }
    }
    Ok(())
}

fn read(arguments: &[String]) -> Result<Asked> {
    let mut asked = Asked { targets: Vec::new(), time: Duration::from_secs(30), keep: false, input: None };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        let number = |text: &String| text.parse::<u64>().with_context(|| format!("{text} is no number"));
        match argument.as_str() {
            "--seconds" => asked.time = Duration::from_secs(number(value()?)?),
            "--minutes" => asked.time = Duration::from_secs(60 * number(value()?)?),
            "--keep" => asked.keep = true,
            "--input" => asked.input = Some(value()?.into()),
            option if option.starts_with('-') => bail!("there is no option {option}\n\n{HELP}"),
            target => asked.targets.push(target.to_owned()),
        }
    }
    ensure!(asked.input.is_none() || asked.targets.len() == 1, "--input needs one target");
    Ok(asked)
}

/// The targets, by their files.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for file in fs::read_dir(folder.join("fuzz_targets")).context("there is no fuzz/fuzz_targets")? {
        let path = file?.path();
        targets.extend(path.file_stem().and_then(|name| name.to_str()).map(str::to_owned));
    }
    targets.sort_unstable();
    Ok(targets)
}

/// Where everything is.
struct Place {
    folder: PathBuf,
    built: PathBuf,
    host: String,
}

impl Place {
    fn find() -> Result<Self> {
        let metadata = Metadata::read()?;
        let said = Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let host =
            said.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
        Ok(Self {
            folder: metadata.workspace_root.join("fuzz"),
            built: metadata.target_directory.join("fuzz"),
            host: host.to_owned(),
        })
    }

    fn build(&self, targets: &[String]) -> Result<()> {
        let began = Instant::now();
        let mut command = Command::new("cargo");
        // With a target triple the flags are not for build scripts, which have no libFuzzer to link with.
        command.args(["build", "--quiet", "--release", "--locked", "--target", &self.host]);
        command.arg("--manifest-path").arg(self.folder.join("Cargo.toml"));
        command.arg("--target-dir").arg(&self.built).env("RUSTFLAGS", RUSTFLAGS);
        for target in targets {
            command.args(["--bin", target]);
        }
        ensure!(command.status().context("cannot run cargo")?.success(), "the fuzz targets do not build");
        println!("   building took {:.1} s", began.elapsed().as_secs_f64());
        Ok(())
    }

    fn command(&self, target: &str) -> Result<Command> {
        let failures = self.built.join("failures").join(target);
        fs::create_dir_all(&failures)?;
        let mut command = Command::new(self.built.join(&self.host).join("release").join(target));
        command.arg(format!("-artifact_prefix={}/", failures.display()));
        command.arg(format!("-rss_limit_mb={MEMORY_MAX}")).arg(format!("-timeout={INPUT_SECONDS_MAX}"));
        let words = self.folder.join("dictionaries").join(format!("{target}.dict"));
        if words.exists() {
            command.arg(format!("-dict={}", words.display()));
        }
        Ok(command)
    }

    fn found(&self, target: &str) -> Result<PathBuf> {
        let found = self.built.join("corpus").join(target);
        fs::create_dir_all(&found)?;
        Ok(found)
    }

    fn kept(&self, target: &str) -> PathBuf {
        self.folder.join("corpus").join(target)
    }

    fn repeat(&self, target: &str, input: &Path) -> Result<()> {
        let status = self.command(target)?.arg(input).status().context("cannot run the target")?;
        ensure!(status.success(), "{target} fails with {}", input.display());
        Ok(())
    }

    fn search(&self, target: &str, time: Duration) -> Result<()> {
        let mut command = self.command(target)?;
        command
            .arg(format!("-max_total_time={}", time.as_secs()))
            .args(["-print_final_stats=1", "-verbosity=1"]);
        command.arg(self.found(target)?).arg(self.kept(target));
        let output = command.output().context("cannot run the target")?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            print!("{said}");
            let failures = self.built.join("failures").join(target);
            bail!(
                "{target} has found something; repeat it with\n  cargo xtask fuzz {target} --input <file in {}>",
                failures.display()
            );
        }
        let inputs = fs::read_dir(self.found(target)?)?.count();
        let runs =
            statistic(&said, "number_of_executed_units").context("libFuzzer does not say what it did")?;
        println!("   {target}: {runs} inputs tried, {inputs} found that cover more, none failed");
        Ok(())
    }

    /// Takes what covers more than the inputs that are kept already into their folder.
    fn keep(&self, target: &str) -> Result<()> {
        let mut command = self.command(target)?;
        // What counts is which code is reached, not how often: otherwise there would be thousands.
        command
            .args(["-set_cover_merge=1", "-use_counters=0"])
            .arg(self.kept(target))
            .arg(self.found(target)?);
        let output = command.output().context("cannot run the target")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// A number that libFuzzer gives at its end.
fn statistic(said: &str, name: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name))?;
    line.trim_start_matches(':').trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Result<Asked> {
        read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_asked_for_is_read() {
        let all = asked("").unwrap();
        assert_eq!((all.targets.len(), all.time, all.keep), (0, Duration::from_secs(30), false));
        let one = asked("wire --minutes 2 --keep").unwrap();
        assert_eq!(
            (one.targets, one.time, one.keep),
            (vec!["wire".to_owned()], Duration::from_secs(120), true)
        );
        assert!(asked("wire ids --input x").is_err());
        assert!(asked("--hours 2").is_err() && asked("--minutes").is_err() && asked("--seconds x").is_err());
    }

    #[test]
    fn every_target_is_known_to_cargo_and_has_inputs_to_begin_with() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let targets = targets(&folder).unwrap();
        assert_eq!(manifest.matches("[[bin]]").count(), targets.len());
        for target in targets {
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
            let inputs = fs::read_dir(folder.join("corpus").join(&target)).unwrap().count();
            assert!(inputs > 0, "{target} has no inputs");
        }
    }

    #[test]
    fn what_the_fuzzer_did_is_read() {
        let said = "Done 7 runs\nstat::number_of_executed_units: 7\nstat::peak_rss_mb:              30\n";
        assert_eq!(statistic(said, "number_of_executed_units"), Some(7));
        assert_eq!(statistic(said, "peak_rss_mb"), Some(30));
        assert_eq!(statistic("", "peak_rss_mb"), None);
    }
}
