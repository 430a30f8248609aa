//! Plots for the page of benchmarks, drawn from outcomes. The same outcomes give the same bytes.

use anyhow::Result;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use super::outcome::Outcome;
use super::report::{drawing, nines, percentile_label};

const SIZE: (u32, u32) = (760, 360);

const FONT: &str = "sans-serif";

/// A thing with what was measured of it, by the size of something or by percentile.
type Line = (String, Vec<(f64, f64)>);

/// What a figure ends with that says how much is done in a second of the server's CPU time.
const PER_CPU_SECOND: &str = "per server CPU-second";

/// Every plot that these outcomes have something for: its file's name, and the file.
///
/// # Errors
/// If one cannot be drawn.
pub fn plots(outcomes: &[Outcome]) -> Result<Vec<(&'static str, String)>> {
    let rates = per_cpu_second(outcomes);
    let latencies = latencies(outcomes);
    let memory = vec![("idle members".to_owned(), memory(outcomes))];
    let cost = vec![
        ("a delivery".to_owned(), by_room_size(outcomes, "server CPU per delivery")),
        ("a plain send()".to_owned(), by_room_size(outcomes, "raw send() to peers that sleep, at this pace")),
    ];
    let mut plots = Vec::new();
    if !rates.is_empty() {
        plots.push(("per-cpu-second.svg", bars("done in a second of the server's CPU time", &rates)?));
    }
    if !latencies.is_empty() {
        plots.push(("latency.svg", percentiles("latency (ms) over percentile", &latencies)?));
    }
    for (file, title, lines) in [
        ("memory.svg", "memory of the server (MiB) by members who are idle", memory),
        ("cost.svg", "CPU time (µs) by members of the room", cost),
    ] {
        if lines.iter().any(|(_, points)| points.len() > 1) {
            plots.push((file, growth(title, &lines)?));
        }
    }
    Ok(plots)
}

/// What an outcome is called beside others of its scenario.
fn title(outcome: &Outcome) -> String {
    match outcome.value("members of a room") {
        Some(members) => format!("{} in rooms of {members}", outcome.scenario),
        None => outcome.scenario.clone(),
    }
}

fn per_cpu_second(outcomes: &[Outcome]) -> Vec<(String, f64)> {
    let figures = outcomes.iter().flat_map(|outcome| outcome.figures.iter().map(move |f| (outcome, f)));
    figures
        .filter(|(_, figure)| figure.name.ends_with(PER_CPU_SECOND))
        .map(|(outcome, figure)| {
            let what = figure.name.trim_end_matches(PER_CPU_SECOND).trim();
            (format!("{}: {what}", title(outcome)), figure.value)
        })
        .collect()
}

fn latencies(outcomes: &[Outcome]) -> Vec<Line> {
    let curves = outcomes.iter().flat_map(|outcome| outcome.latency.iter().map(move |c| (outcome, c)));
    curves
        .filter(|(_, curve)| curve.points.iter().any(|(_, millis)| *millis > 0.0))
        .map(|(outcome, curve)| {
            let points = curve.points.iter().map(|(percentile, millis)| (nines(*percentile), *millis));
            (format!("{}: {}", title(outcome), curve.name), points.collect())
        })
        .collect()
}

fn memory(outcomes: &[Outcome]) -> Vec<(f64, f64)> {
    let figures = outcomes.iter().flat_map(|outcome| &outcome.figures);
    let mut points: Vec<(f64, f64)> = figures
        .filter_map(|figure| Some((figure.name.strip_prefix("memory at ")?.parse().ok()?, figure.value)))
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

fn by_room_size(outcomes: &[Outcome], figure: &str) -> Vec<(f64, f64)> {
    let point = |outcome: &Outcome| Some((outcome.value("members of a room")?, outcome.value(figure)?));
    let mut points: Vec<(f64, f64)> = outcomes.iter().filter_map(point).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

fn top(lines: &[Line]) -> f64 {
    lines.iter().flat_map(|(_, points)| points).fold(1e-3, |top, point| point.1.max(top))
}

/// Latency by percentile; a step up is ten times as long, a step to the right leaves a tenth.
fn percentiles(title: &str, lines: &[Line]) -> Result<String> {
    let labels = |nine: &f64| percentile_label(*nine);
    chart(title, lines, 0.0..4.4, (0.05..top(lines) * 2.0).log_scale(), &labels)
}

fn growth(title: &str, lines: &[Line]) -> Result<String> {
    let end = lines.iter().flat_map(|(_, points)| points).fold(1.0_f64, |end, point| point.0.max(end));
    chart(title, lines, 0.0..end * 1.02, 0.0..top(lines) * 1.1, &|size: &f64| format!("{size:.0}"))
}

fn chart<Y>(
    title: &str,
    lines: &[Line],
    x: std::ops::Range<f64>,
    y: Y,
    x_labels: &dyn Fn(&f64) -> String,
) -> Result<String>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(drawing)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, (FONT, 15))
            .margin(8)
            .x_label_area_size(28)
            .y_label_area_size(56)
            .build_cartesian_2d(x, y)
            .map_err(drawing)?;
        chart
            .configure_mesh()
            .x_labels(5)
            .x_label_formatter(x_labels)
            .light_line_style(WHITE)
            .draw()
            .map_err(drawing)?;
        for (number, (name, points)) in lines.iter().enumerate() {
            let color = Palette99::pick(number).to_rgba();
            chart
                .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))
                .map_err(drawing)?
                .label(name.as_str())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], color));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.8))
            .draw()
            .map_err(drawing)?;
        area.present().map_err(drawing)?;
    }
    Ok(svg)
}

/// Room for the words beside the bars.
const WORDS: i32 = 330;

/// One bar for each, all as long as their logarithm: they are far apart.
fn bars(title: &str, all: &[(String, f64)]) -> Result<String> {
    let (row, head) = (26, 36);
    let height = head + row * all.len() as i32 + 8;
    let length = |value: f64| (value.max(10.0).log10() - 1.0) / 6.0 * f64::from(SIZE.0 as i32 - WORDS - 100);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (SIZE.0, height as u32)).into_drawing_area();
        area.fill(&WHITE).map_err(drawing)?;
        area.draw(&Text::new(title.to_owned(), (8, 10), (FONT, 15))).map_err(drawing)?;
        for (number, (name, value)) in all.iter().enumerate() {
            let top = head + row * number as i32;
            let end = WORDS + length(*value) as i32;
            let color = Palette99::pick(0).filled();
            area.draw(&Text::new(name.clone(), (8, top + 4), (FONT, 13))).map_err(drawing)?;
            area.draw(&Rectangle::new([(WORDS, top), (end, top + row - 8)], color)).map_err(drawing)?;
            area.draw(&Text::new(thousands(*value), (end + 6, top + 4), (FONT, 13))).map_err(drawing)?;
        }
        area.present().map_err(drawing)?;
    }
    Ok(svg)
}

/// A number as people read it.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let first = digits.len() % 3;
    let (head, rest) = digits.split_at(first);
    let groups = rest.as_bytes().chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    let head = (!head.is_empty()).then(|| head.to_owned());
    head.into_iter().chain(groups).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::ledger::{curve, latencies};

    #[test]
    fn the_same_outcomes_give_the_same_plots() {
        let mut outcome = Outcome { scenario: "unbatched".to_owned(), ..Outcome::default() };
        let mut measured = latencies();
        measured.record(1_500).unwrap();
        outcome.latency.push(curve("update to receipt", &measured));
        outcome.figure("deliveries per server CPU-second", 160_000.0, "");
        outcome.figure("memory at 1000", 20.0, "MiB");
        outcome.figure("memory at 2000", 24.0, "MiB");
        let outcomes = [outcome];
        let drawn = plots(&outcomes).unwrap();
        let files: Vec<&str> = drawn.iter().map(|(file, _)| *file).collect();
        assert_eq!(files, ["per-cpu-second.svg", "latency.svg", "memory.svg"]);
        assert!(drawn[0].1.contains("160,000"));
        assert_eq!(plots(&outcomes).unwrap(), drawn);
    }

    #[test]
    fn numbers_are_grouped_from_the_right() {
        assert_eq!([7.0, 1_000.0, 1_234_567.0].map(thousands), ["7", "1,000", "1,234,567"]);
    }
}
