//! What the kernel knows of this process. Where it tells nothing, nothing is known.

use std::fs;

/// What it told just now.
pub(super) struct Process {
    /// Resident memory.
    pub(super) resident_bytes: Option<f64>,
    /// Open file descriptors.
    pub(super) fds: Option<f64>,
    /// File descriptors that may be open.
    pub(super) fds_max: Option<f64>,
    /// Tasks of its runtime that have not ended.
    pub(super) tasks: Option<f64>,
    /// When it started, in Unix time.
    pub(super) started_seconds: Option<f64>,
    /// CPU time, user and system.
    pub(super) cpu_seconds: Option<f64>,
}

impl Process {
    pub(super) fn observe() -> Self {
        use rustix::process::{Resource, getrlimit};

        let statm = fs::read_to_string("/proc/self/statm").ok();
        let pages = statm.and_then(|statm| statm.split(' ').nth(1)?.parse::<f64>().ok());
        let ticks = Ticks::read();
        let runtime = tokio::runtime::Handle::try_current().ok();
        Self {
            resident_bytes: pages.map(|pages| pages * rustix::param::page_size() as f64),
            fds: open_descriptors(),
            fds_max: getrlimit(Resource::Nofile).current.map(|fds_max| fds_max as f64),
            tasks: runtime.map(|runtime| runtime.metrics().num_alive_tasks() as f64),
            started_seconds: ticks.as_ref().and_then(|ticks| Some(booted()? + ticks.seconds(22)?)),
            cpu_seconds: ticks.and_then(|ticks| Some(ticks.seconds(14)? + ticks.seconds(15)?)),
        }
    }
}

/// How many descriptors are open. Linux tells since 6.2 as the size of the folder; before that they are counted one by
/// one, which takes milliseconds where there are many.
fn open_descriptors() -> Option<f64> {
    const FOLDER: &str = "/proc/self/fd";
    match fs::metadata(FOLDER).ok()?.len() {
        0 => fs::read_dir(FOLDER).ok().map(|descriptors| descriptors.count() as f64),
        told => Some(told as f64),
    }
}

/// `/proc/self/stat`: the fields behind the name, which may hold spaces.
struct Ticks(String);

impl Ticks {
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        Some(Self(stat.rsplit_once(") ")?.1.to_owned()))
    }

    /// A field by its number in proc(5), which counts those behind the name from 3.
    fn seconds(&self, field: usize) -> Option<f64> {
        let ticks = self.0.split(' ').nth(field - 3)?.parse::<f64>().ok()?;
        Some(ticks / rustix::param::clock_ticks_per_second() as f64)
    }
}

/// When the machine started, in Unix time.
fn booted() -> Option<f64> {
    let kernel = fs::read_to_string("/proc/stat").ok()?;
    kernel.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}
