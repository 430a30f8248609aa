//! Stretches of time.

/// Stretches of time, from and to; in order and apart from each other once they are [`merged`].
pub(super) type Spans = Vec<(u64, u64)>;

/// In order, and those that touch put together.
pub(super) fn merged(mut spans: Spans) -> Spans {
    spans.retain(|(from, to)| from < to);
    spans.sort_unstable();
    let mut merged: Spans = Vec::with_capacity(spans.len());
    for (from, to) in spans {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

/// Whether merged spans cover all of a stretch, and a little more.
pub(super) fn cover(spans: &Spans, from: u64, to: u64) -> bool {
    spans.iter().any(|span| span.0 <= from && to < span.1)
}

/// How much of a stretch merged spans leave uncovered.
pub(super) fn uncovered(spans: &Spans, from: u64, to: u64) -> u64 {
    let common = |span: &(u64, u64)| span.1.min(to).saturating_sub(span.0.max(from));
    to.saturating_sub(from) - spans.iter().map(common).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_put_together_and_measured() {
        let spans = merged(vec![(50, 60), (0, 10), (5, 20), (30, 30)]);
        assert_eq!(spans, [(0, 20), (50, 60)]);
        assert!(cover(&spans, 3, 19) && !cover(&spans, 3, 20));
        assert_eq!(uncovered(&spans, 10, 55), 30);
        assert_eq!(uncovered(&spans, 20, 20), 0);
    }
}
