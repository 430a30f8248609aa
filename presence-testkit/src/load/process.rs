//! The server's process, seen from outside: CPU time, memory, and what it says of itself.

use std::fs;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};

use super::ledger::{Ledger, Stopwatch};
use super::outcome::Sample;
use crate::http;

/// A server to be measured.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process, if it is on this machine.
    pub pid: Option<u32>,
}

impl Target {
    /// CPU time it has spent, in microseconds; 0 if its process is not known.
    pub fn cpu_micros(&self) -> Result<f64> {
        let Some(pid) = self.pid else { return Ok(0.0) };
        // Scheduler time in nanoseconds: finer than the ticks in `stat`, and of all threads.
        let mut nanos = 0.0;
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            nanos += text.split(' ').next().and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        }
        Ok(nanos / 1000.0)
    }

    /// Its share of memory (PSS), in bytes; 0 if its process is not known.
    pub fn memory(&self) -> Result<f64> {
        let Some(pid) = self.pid else { return Ok(0.0) };
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no PSS")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
        Ok(kib * 1024.0)
    }

    /// Descriptors that it has open; 0 if its process is not known.
    pub fn descriptors(&self) -> Result<f64> {
        let Some(pid) = self.pid else { return Ok(0.0) };
        Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count() as f64)
    }

    /// One of its counters or gauges, all labels together.
    pub async fn total(&self, name: &str) -> Result<f64> {
        let text = http::get(self.address, "/metrics", &[]).await?.body;
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let value =
                rest.strip_prefix(' ').or_else(|| rest.starts_with('{').then(|| rest.rsplit(' ').next())?);
            value?.parse::<f64>().ok()
        });
        Ok(values.sum())
    }

    /// One of its counters.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let text = http::get(self.address, "/metrics", &[]).await?.body;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).with_context(|| format!("the server has no metric {name}"))
    }
}

/// After how many samples a server is asked what it says of itself.
const SAYING_EVERY: usize = 10;

/// Its tasks, and the MiB that it keeps; nothing if it does not answer just now.
async fn said_by(target: Target) -> (f64, f64) {
    let tasks = target.total("presence_tasks").await.unwrap_or_default();
    let kept = target.total("presence_store_file_bytes").await.unwrap_or_default();
    (tasks, kept / (1024.0 * 1024.0))
}

/// What begins the lines of what a server counts of things that are not as they must be.
const WRONG: [&str; 2] = ["presence_invariant_violations_total{", "presence_drift_total{"];

impl Target {
    /// What it has found that is not as it must be, by metric; empty if all is well.
    pub async fn violations(&self) -> Result<Vec<(String, f64)>> {
        let text = http::get(self.address, "/metrics", &[]).await?.body;
        let lines = text.lines().filter(|line| WRONG.iter().any(|metric| line.starts_with(metric)));
        let counted: Vec<(String, f64)> = lines
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(metric, count)| Ok((metric.to_owned(), count.parse()?)))
            .collect::<Result<_>>()?;
        ensure!(counted.len() > WRONG.len(), "the server does not say whether all is as it must be");
        Ok(counted.into_iter().filter(|(_, count)| *count > 0.0).collect())
    }
}

/// Samples a server once a second, until dropped.
pub async fn sample(
    target: Target,
    clock: Stopwatch,
    ledger: Ledger,
    samples: &mut Vec<Sample>,
) -> Result<()> {
    let mut interval = tokio::time::interval(std::time::Duration::from_secs(1));
    let (mut cpu, mut messages, mut at) = (target.cpu_micros()?, ledger.borrow().messages, clock.seconds());
    loop {
        interval.tick().await;
        let (cpu_now, messages_now, now) = (target.cpu_micros()?, ledger.borrow().messages, clock.seconds());
        let elapsed = (now - at).max(1e-3);
        // What it says itself costs it something: not every second.
        let said = samples.len().is_multiple_of(SAYING_EVERY);
        let (tasks, kept) = match samples.last() {
            Some(last) if !said => (last.tasks, last.kept),
            _ => said_by(target).await,
        };
        samples.push(Sample {
            at: now,
            descriptors: target.descriptors()?,
            tasks,
            kept,
            memory: target.memory()? / (1024.0 * 1024.0),
            cores: (cpu_now - cpu) / 1e6 / elapsed,
            deliveries: (messages_now - messages) as f64 / elapsed,
        });
        (cpu, messages, at) = (cpu_now, messages_now, now);
    }
}
