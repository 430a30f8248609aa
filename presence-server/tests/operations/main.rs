//! The server as those see it who run it: its command line, its service manager, its logs, and the files that it is
//! deployed with.

mod canaries;
mod command_line;
mod deploy;
mod logs;
mod process;
mod service;
#[cfg(feature = "sqlite")]
mod store;
