//! Randomness from the operating system: what must not be guessed is drawn here.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// 128 unguessable bits.
pub(crate) fn bits128() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    u128::from_ne_bytes(bytes)
}

/// 64 bits that this process has not given before, and most likely no other: names for what may be guessed. They cost no
/// call of the operating system.
pub(crate) fn name64() -> u64 {
    /// Odd, so that the multiples of it are all different, and look it (Knuth, The Art of Computer Programming, volume 3,
    /// section 6.4).
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
    static FIRST: LazyLock<u64> = LazyLock::new(bits64);
    static GIVEN: AtomicU64 = AtomicU64::new(0);
    FIRST.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed).wrapping_mul(STEP))
}

/// 64 unguessable bits.
pub(crate) fn bits64() -> u64 {
    bits128() as u64
}
