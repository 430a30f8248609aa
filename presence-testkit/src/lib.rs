//! Simulated clients, contract suites and the end-to-end tests.
//!
//! - [`chaos`]: real processes under faults, and a ledger of what was lost.
//! - [`client`]: a client on real sockets. Whatever it receives goes through the [`view`]s of its rooms, which check
//!   versions, alternation and digests as they go.
//! - [`program`]: other people's programs, which speak to the server.
//! - [`proxy`]: a network that can be broken, for connections that are lost without a word.
//! - [`contract`]: what every kind of a port must do, the fakes too.
//! - [`folder`]: a place for files, for one test.
//! - [`inbox`]: what a client has of streams: each message once and in order.
//! - [`http`]: a GET, and its answer.
//! - [`load`]: many clients, which count and measure what they receive.
//! - [`openapi`]: whether real answers are what a document says.
//! - [`receiver`]: a backend that webhooks go to.
//! - [`server_process`]: the server's binary, as whoever operates it has it.
//! - [`sim`]: the model under virtual time, with everything that goes wrong.
//! - [`tls`]: certificates, and the client's side of TLS.
//! - [`window`]: a part of a large room, as one client sees it.
//! - [`wire`]: the server's messages, read independently of the code that writes them.

pub mod chaos;
pub mod client;
pub mod contract;
pub mod folder;
pub mod http;
pub mod inbox;
pub mod load;
pub mod openapi;
pub mod program;
pub mod proxy;
pub mod random;
pub mod receiver;
pub mod server_process;
pub mod sim;
pub mod tls;
pub mod view;
pub mod window;
pub mod wire;
