//! Lists that are empty most of the time.

/// What waits for a moment and is then taken all at once. One word while nothing waits: every connection has several, and
/// most of them wait for nothing most of the time.
#[derive(Debug)]
#[expect(
    clippy::box_collection,
    reason = "a vector's own three words are what an empty list should not cost"
)]
pub(super) struct Waiting<T>(Option<Box<Vec<T>>>);

impl<T> Waiting<T> {
    pub(super) fn push(&mut self, item: T) {
        self.0.get_or_insert_default().push(item);
    }

    pub(super) fn take(&mut self) -> Vec<T> {
        self.0.take().map(|items| *items).unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(|items| items.iter())
    }

    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |items| items.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        if let Some(items) = &mut self.0 {
            items.retain(keep);
        }
    }
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Extend<T> for Waiting<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        items.into_iter().for_each(|item| self.push(item));
    }
}
