//! The presence model, without I/O.

pub mod error;
pub mod frame;
pub mod id;
pub mod port;
pub mod time;
