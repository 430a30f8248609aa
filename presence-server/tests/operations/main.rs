//! The server as those see it who run it: its command line, its service manager, its logs.

mod canaries;
mod command_line;
mod logs;
mod process;
mod service;
