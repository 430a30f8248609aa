//! One room as those in it know it: what they tell it, what it tells them, and what it keeps of them.

#![expect(clippy::unwrap_used, reason = "whatever is not as expected fails the test")]

mod answers;
mod bounds;
mod comings;
mod live;
mod looks;
mod node;
mod states;
mod windows;
mod windows_at_random;
