//! Room on the disk, which checks need a lot of.

use std::path::Path;
use std::process::Command;

/// What all checks take in a fresh clone, in MiB, as `.ci/run` builds them.
const NEEDED: u64 = 5_000;

/// What to say before the checks if there may not be enough where they are built, if anything.
pub(crate) fn warning(target: &Path) -> Option<String> {
    warning_of(free(target)?)
}

/// What to say after a check that failed when nothing was left, which may be why.
pub(crate) fn suspicion(target: &Path) -> Option<String> {
    suspicion_of(free(target)?)
}

fn warning_of(free: u64) -> Option<String> {
    (free < NEEDED).then(|| {
        format!("there are {free} MiB left on the disk, and in a fresh clone all checks take about {NEEDED}")
    })
}

fn suspicion_of(free: u64) -> Option<String> {
    (free < 100).then(|| format!("there are but {free} MiB left on the disk: that may be why"))
}

/// MiB that are free where a folder is, or will be.
fn free(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|folder| folder.exists())?;
    let output = Command::new("df").args(["-P", "-m"]).arg(there).output().ok()?;
    parse(&String::from_utf8_lossy(&output.stdout))
}

/// Reads what `df -P` says of one file system: a line of headings, then its numbers.
fn parse(text: &str) -> Option<u64> {
    text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_is_read_and_said_when_it_is_little() {
        let said = "Filesystem     1M-blocks  Used Available Capacity Mounted on\n/dev/root          20000 18800      1200      95% /\n";
        assert_eq!(parse(said), Some(1_200));
        assert!(warning_of(1_200).is_some_and(|warning| warning.contains("1200 MiB left")));
        assert_eq!((warning_of(NEEDED), suspicion_of(1_200)), (None, None));
        assert!(suspicion_of(0).is_some());
        assert!(free(Path::new("/nowhere/at/all")).is_some());
    }
}
