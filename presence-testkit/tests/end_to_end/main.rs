//! The end-to-end tests: a real server, real sockets, and clients that check what they receive. Each is written once
//! and runs on every kind of transport. A test's name says what it shows; the invariants it holds are in its comment.

mod close_codes;
mod errors;
mod half_dead;
mod http;
mod join_leave;
mod lagged;
mod rapid;
mod replay;
mod restore;
mod server;
mod shutdown;
mod storm;
mod tabs;
mod takeover;

/// Runs each test on each kind of transport.
macro_rules! on_every_kind {
    ($($name:ident),* $(,)?) => {
        mod ws {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() -> anyhow::Result<()> {
                    super::$name(presence_testkit::client::Kind::Ws).await
                }
            )*
        }
    };
}
pub(crate) use on_every_kind;
