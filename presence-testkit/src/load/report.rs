//! The report: a table for the terminal, and one HTML file with plots in it that needs nothing else.

use std::fmt::Write;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::outcome::{Outcome, Sample};

const SIZE: (u32, u32) = (620, 260);

const COLORS: [RGBColor; 3] = [RGBColor(43, 102, 201), RGBColor(179, 38, 30), RGBColor(30, 122, 60)];

/// Its name, and how much of it there is.
type Resource = (&'static str, fn(&Sample) -> f64);

/// What else a server may use up.
const RESOURCES: [Resource; 3] = [
    ("descriptors of the server", |sample| sample.descriptors),
    ("tasks of the server", |sample| sample.tasks),
    ("on the server's disk (MiB)", |sample| sample.kept),
];

/// The outcome as lines of text.
pub fn table(outcome: &Outcome) -> String {
    let mut text = format!("\n{}: {}\n", outcome.scenario, outcome.parameters);
    for figure in &outcome.figures {
        let spread = figure.spread.map(|(low, high)| format!("  ({low:.2} to {high:.2})"));
        let (name, value, unit, spread) =
            (&figure.name, figure.value, &figure.unit, spread.unwrap_or_default());
        let _ = writeln!(text, "  {name:<48} {value:>14.2} {unit}{spread}");
    }
    for curve in &outcome.latency {
        let shown: Vec<String> = curve
            .points
            .iter()
            .filter(|(percentile, _)| [50.0, 90.0, 99.0, 99.9, 100.0].contains(percentile))
            .map(|(percentile, millis)| format!("p{percentile} {millis:.1}"))
            .collect();
        let _ = writeln!(text, "  {:<48} {} ms", curve.name, shown.join("  "));
    }
    let faults = &outcome.faults;
    let _ = writeln!(
        text,
        "  missing {}  repeated {}  wrong views {}  failed clients {}  violations {}  (merged {})  → {}",
        faults.missing,
        faults.repeated,
        faults.wrong_views,
        faults.failed,
        faults.violations,
        faults.merged,
        if faults.none() { "nothing lost" } else { "NOT GOOD" }
    );
    for reason in &faults.reasons {
        let _ = writeln!(text, "    {reason}");
    }
    text
}

/// All outcomes as one page.
///
/// # Errors
/// If a plot cannot be drawn.
pub fn page(outcomes: &[Outcome]) -> Result<String> {
    let mut html = String::from(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Load test</title><style>\
         body{font:15px/1.5 system-ui,sans-serif;max-width:84rem;margin:2rem auto;padding:0 1rem;color:#1f2328}\
         table{border-collapse:collapse;margin:1rem 0}td{padding:.15rem .9rem;border-bottom:1px solid #dcd9d2}\
         td.n{text-align:right;font-variant-numeric:tabular-nums}.plots{display:flex;flex-wrap:wrap;gap:1rem}\
         .good{color:#1e7a3c}.bad{color:#b3261e}</style><h1>Load test</h1>",
    );
    for outcome in outcomes {
        section(outcome, &mut html)?;
    }
    Ok(html)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn section(outcome: &Outcome, html: &mut String) -> Result<()> {
    let faults = &outcome.faults;
    let verdict = if faults.none() {
        "<span class=good>nothing lost</span>".to_owned()
    } else {
        format!(
            "<span class=bad>missing {}, repeated {}, wrong views {}, failed {}, violations {}</span>",
            faults.missing, faults.repeated, faults.wrong_views, faults.failed, faults.violations
        )
    };
    write!(html, "<h2>{}</h2><p>{} — {verdict}</p>", escape(&outcome.scenario), escape(&outcome.parameters))?;
    html.push_str("<table>");
    for figure in &outcome.figures {
        let (name, unit) = (escape(&figure.name), escape(&figure.unit));
        write!(html, "<tr><td>{name}<td class=n>{:.2}<td>{unit}", figure.value)?;
    }
    for reason in &faults.reasons {
        write!(html, "<tr><td colspan=3 class=bad>{}", escape(reason))?;
    }
    html.push_str("</table><div class=plots>");
    if outcome.latency.iter().any(|curve| curve.points.iter().any(|(_, millis)| *millis > 0.0)) {
        html.push_str(&latency_plot(outcome)?);
    }
    if outcome.series.len() > 1 {
        html.push_str(&series_plot("memory of the server (MiB)", &outcome.series, |sample| sample.memory)?);
        html.push_str(&series_plot("CPU of the server (cores)", &outcome.series, |sample| sample.cores)?);
        html.push_str(&series_plot("messages received per second", &outcome.series, |sample| {
            sample.deliveries
        })?);
        for (title, of) in RESOURCES {
            if outcome.series.iter().any(|sample| of(sample) > 0.0) {
                html.push_str(&series_plot(title, &outcome.series, of)?);
            }
        }
    }
    html.push_str("</div>");
    Ok(())
}

/// Where a percentile stands on an axis on which each step to the right is a tenth of what is left.
pub(super) fn nines(percentile: f64) -> f64 {
    -(1.0 - percentile.min(99.995) / 100.0).log10()
}

/// The percentile at a place of that axis.
pub(super) fn percentile_label(nines: f64) -> String {
    let percentile = format!("{:.4}", 100.0 - 100.0 / 10_f64.powf(nines));
    percentile.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Latency over percentile, the tail stretched.
fn latency_plot(outcome: &Outcome) -> Result<String> {
    let top =
        outcome.latency.iter().flat_map(|curve| &curve.points).fold(1.0_f64, |top, point| top.max(point.1));
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(drawing)?;
        let mut chart = ChartBuilder::on(&area)
            .caption("latency (ms) over percentile", ("sans-serif", 15))
            .margin(8)
            .x_label_area_size(28)
            .y_label_area_size(48)
            .build_cartesian_2d(0.0..4.4_f64, 0.0..top * 1.1)
            .map_err(drawing)?;
        chart
            .configure_mesh()
            .x_labels(5)
            .x_label_formatter(&|nine| percentile_label(*nine))
            .light_line_style(WHITE)
            .draw()
            .map_err(drawing)?;
        for (curve, color) in outcome.latency.iter().zip(COLORS.iter().cycle()) {
            let points = curve.points.iter().map(|(percentile, millis)| (nines(*percentile), *millis));
            let legend = *color;
            chart
                .draw_series(LineSeries::new(points, color.stroke_width(2)))
                .map_err(drawing)?
                .label(curve.name.as_str())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], legend));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .draw()
            .map_err(drawing)?;
        area.present().map_err(drawing)?;
    }
    Ok(svg)
}

fn series_plot(title: &str, series: &[Sample], of: impl Fn(&Sample) -> f64) -> Result<String> {
    let end = series.last().map_or(1.0, |sample| sample.at).max(1.0);
    let top = series.iter().fold(1e-3_f64, |top, sample| top.max(of(sample)));
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(drawing)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 15))
            .margin(8)
            .x_label_area_size(28)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..end, 0.0..top * 1.1)
            .map_err(drawing)?;
        chart.configure_mesh().light_line_style(WHITE).draw().map_err(drawing)?;
        let points = series.iter().map(|sample| (sample.at, of(sample)));
        chart.draw_series(LineSeries::new(points, COLORS[0].stroke_width(2))).map_err(drawing)?;
        area.present().map_err(drawing)?;
    }
    Ok(svg)
}

pub(super) fn drawing(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}
