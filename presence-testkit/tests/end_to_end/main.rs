//! The end-to-end tests: a real server, real sockets, and clients that check what they receive. Each is written once
//! and runs on every kind of transport. A test's name says what it shows; the invariants it holds are in its comment.

mod admin;
mod as_user;
mod audit;
mod close_codes;
mod documents;
mod errors;
#[cfg(feature = "sse")]
mod event_stream;
mod half_dead;
#[cfg(all(feature = "ws", feature = "sse"))]
mod hostile_http;
mod hostile_json;
#[cfg(all(feature = "ws", feature = "sse"))]
mod hostile_ws;
mod http;
mod http_surface;
mod invitations;
mod join_leave;
mod lagged;
#[cfg(all(feature = "ws", feature = "sse"))]
mod limits;
mod messages;
mod messages_http;
#[cfg(feature = "sqlite")]
mod messages_kept;
#[cfg(all(feature = "ws", feature = "sse"))]
mod moving;
mod openapi;
mod people;
#[cfg(feature = "sqlite")]
mod people_kept;
mod rapid;
mod replay;
mod restart;
mod restore;
mod server;
#[cfg(all(feature = "ws", feature = "sse"))]
mod shared_stream;
mod shutdown;
mod stories;
mod storm;
mod tabs;
mod takeover;
#[cfg(feature = "tls")]
mod tls;
mod watching;
mod webhooks;
mod who_may;
mod windows;

/// Runs each test on each kind of transport. Another kind is one more line here.
macro_rules! on_every_kind {
    ($($name:ident),* $(,)?) => {
        #[cfg(feature = "ws")]
        crate::on_kind! { ws: Ws, $($name),* }
        #[cfg(feature = "sse")]
        crate::on_kind! { sse: Sse, $($name),* }
        // Not again for a server that has only one kind: it is the same there.
        #[cfg(all(feature = "sse", feature = "ws"))]
        crate::on_kind! { shared: Shared, $($name),* }
    };
}
pub(crate) use on_every_kind;

macro_rules! on_kind {
    ($module:ident: $kind:ident, $($name:ident),*) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() -> anyhow::Result<()> {
                    super::$name(presence_testkit::client::Kind::$kind).await
                }
            )*
        }
    };
}
pub(crate) use on_kind;
