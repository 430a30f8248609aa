//! Bugs that are planted on purpose, to see whether they are found. Without the feature `planted` there are none, and none of
//! this is compiled in.

/// Whether this bug is planted now.
#[cfg(not(feature = "planted"))]
pub const fn is(_bug: &str) -> bool {
    false
}

#[cfg(feature = "planted")]
pub use planting::{is, plant};

#[cfg(feature = "planted")]
mod planting {
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Plants a bug, or none, for what this thread does from now on.
    pub fn plant(bug: Option<&'static str>) {
        PLANTED.set(bug);
    }

    /// Whether this bug is planted now.
    pub fn is(bug: &str) -> bool {
        PLANTED.get() == Some(bug)
    }
}
