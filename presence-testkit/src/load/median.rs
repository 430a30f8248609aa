//! Several runs of one scenario as one outcome: of each number the median, and the least and the most beside it. What went
//! wrong in any of them went wrong.

use super::outcome::{Curve, Faults, Figure, Outcome};

/// One outcome of several; `None` of none. The samples over time are those of the last run.
pub fn of(runs: &[Outcome]) -> Option<Outcome> {
    let last = runs.last()?;
    if runs.len() == 1 {
        return Some(last.clone());
    }
    let figures = last.figures.iter().map(|figure| {
        let all = sorted(runs.iter().filter_map(|run| run.value(&figure.name)).collect());
        let spread = all.first().copied().zip(all.last().copied());
        Figure { value: median(&all), spread, ..figure.clone() }
    });
    let latency = last.latency.iter().map(|curve| Curve {
        name: curve.name.clone(),
        points: curve.points.iter().map(|(at, _)| (*at, median(&points(runs, &curve.name, *at)))).collect(),
    });
    Some(Outcome {
        parameters: format!("{}; the median of {} runs", last.parameters, runs.len()),
        figures: figures.collect(),
        latency: latency.collect(),
        faults: runs.iter().fold(Faults::default(), |sum, run| sum.and(&run.faults)),
        ..last.clone()
    })
}

/// What the runs have at a percentile of a curve, from the least to the most.
fn points(runs: &[Outcome], name: &str, percentile: f64) -> Vec<f64> {
    let curves = runs.iter().flat_map(|run| run.latency.iter().filter(|curve| curve.name == name));
    let at = |curve: &Curve| Some(curve.points.iter().find(|(at, _)| *at == percentile)?.1);
    sorted(curves.filter_map(at).collect())
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// Of an even number, between the two in the middle.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match (sorted.get(middle), middle.checked_sub(1).and_then(|before| sorted.get(before))) {
        (Some(one), Some(before)) if sorted.len().is_multiple_of(2) => f64::midpoint(*before, *one),
        (Some(one), _) => *one,
        (None, _) => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(value: f64, millis: f64, missing: u64) -> Outcome {
        let mut outcome = Outcome { scenario: "x".to_owned(), ..Outcome::default() };
        outcome.figure("done", value, "per s");
        outcome.latency.push(Curve { name: "way".to_owned(), points: vec![(50.0, 1.0), (99.0, millis)] });
        outcome.faults.missing = missing;
        outcome
    }

    #[test]
    fn three_runs_are_told_by_the_one_in_the_middle_and_by_all_that_went_wrong() {
        let all = of(&[run(9.0, 4.0, 0), run(1.0, 8.0, 1), run(3.0, 6.0, 2)]).unwrap();
        assert_eq!(all.value("done"), Some(3.0));
        assert_eq!(all.figures[0].spread, Some((1.0, 9.0)));
        assert_eq!(all.latency[0].points, [(50.0, 1.0), (99.0, 6.0)]);
        assert_eq!(all.faults.missing, 3);
    }

    #[test]
    fn one_run_is_what_it_is_and_of_two_the_middle_lies_between() {
        let one = of(&[run(9.0, 4.0, 0)]).unwrap();
        assert_eq!((one.value("done"), one.figures[0].spread), (Some(9.0), None));
        assert_eq!(of(&[run(9.0, 4.0, 0), run(1.0, 8.0, 0)]).unwrap().value("done"), Some(5.0));
        assert!(of(&[]).is_none());
    }
}
