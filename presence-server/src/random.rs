//! Randomness from the operating system: what must not be guessed is drawn here.

/// 128 unguessable bits.
pub(crate) fn bits128() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    u128::from_ne_bytes(bytes)
}

/// 64 unguessable bits.
pub(crate) fn bits64() -> u64 {
    bits128() as u64
}
