//! What a scenario came to, as JSON: `scenario`, its `parameters`, `figures` (name, value, unit), `faults` (all 0 in a
//! good run; `merged` counts updates that a hand-out put into one, which is no fault), `latency` (percentile,
//! milliseconds) and `series` (samples over time).

use serde::{Deserialize, Serialize};

/// The whole of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// What was run.
    pub scenario: String,
    /// With which numbers.
    pub parameters: String,
    /// What was measured.
    pub figures: Vec<Figure>,
    /// What went wrong.
    pub faults: Faults,
    /// By what was measured: percentile and milliseconds.
    pub latency: Vec<Curve>,
    /// Over time.
    pub series: Vec<Sample>,
}

/// One number.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    /// Of what.
    pub name: String,
    /// How much.
    pub value: f64,
    /// In what.
    pub unit: String,
    /// The least and the most of several runs, of which it is the median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<(f64, f64)>,
}

/// A distribution.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Curve {
    /// Of what.
    pub name: String,
    /// Percentile, milliseconds.
    pub points: Vec<(f64, f64)>,
}

/// The server at one moment.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds since the scenario began.
    pub at: f64,
    /// Its memory (PSS), in MiB.
    pub memory: f64,
    /// Cores that it used since the sample before.
    pub cores: f64,
    /// Messages received by the clients per second since the sample before.
    pub deliveries: f64,
    /// Descriptors that it has open.
    #[serde(default)]
    pub descriptors: f64,
    /// Its tasks, as it says.
    #[serde(default)]
    pub tasks: f64,
    /// What it keeps on disk, as it says, in MiB.
    #[serde(default)]
    pub kept: f64,
}

/// What must not happen.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Faults {
    /// Events that should have come and did not.
    pub missing: u64,
    /// Events that came twice, or after a later one.
    pub repeated: u64,
    /// Views that are not what the server says.
    pub wrong_views: u64,
    /// Clients that failed, and why the first ones did.
    pub failed: u64,
    /// Why.
    pub reasons: Vec<String>,
    /// What the server found that is not as it must be, and rosters that drifted.
    #[serde(default)]
    pub violations: u64,
    /// Updates that were put into one with a later one. No fault.
    pub merged: u64,
}

impl Faults {
    /// Whether there is none.
    pub fn none(&self) -> bool {
        self.missing + self.repeated + self.wrong_views + self.failed + self.violations == 0
    }

    /// Adds one client's failure.
    pub fn failure(&mut self, why: String) {
        self.failed += 1;
        self.explain(why);
    }

    /// Adds one wrong view.
    pub fn wrong(&mut self, why: String) {
        self.wrong_views += 1;
        self.explain(why);
    }

    /// What went wrong in either of two runs.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.missing += other.missing;
        self.repeated += other.repeated;
        self.wrong_views += other.wrong_views;
        self.failed += other.failed;
        self.violations += other.violations;
        self.merged += other.merged;
        other.reasons.iter().for_each(|reason| self.explain(reason.clone()));
        self
    }

    /// Adds what the server has found wrong with itself.
    pub fn violated(&mut self, found: &[(String, f64)]) {
        for (metric, count) in found {
            self.violations += *count as u64;
            self.explain(format!("the server counts {count} of {metric}"));
        }
    }

    fn explain(&mut self, why: String) {
        if self.reasons.len() < 5 {
            self.reasons.push(why.chars().take(600).collect());
        }
    }
}

impl Outcome {
    /// Adds a number.
    pub fn figure(&mut self, name: &str, value: f64, unit: &str) {
        self.figures.push(Figure { name: name.to_owned(), value, unit: unit.to_owned(), spread: None });
    }

    /// A number by its name.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == name).map(|figure| figure.value)
    }
}
