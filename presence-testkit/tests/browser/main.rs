//! The page at `/` in a real browser, as a person with two tabs sees it, and the operator's.

mod admin;
mod driver;

use anyhow::Result;
use presence_server::{Config, Server};
use tokio::sync::oneshot;

use driver::Browser;

/// A server on a port of its own, until the sender is dropped.
fn serve(config: Config) -> Result<(std::net::SocketAddr, oneshot::Sender<()>)> {
    let server = Server::bind(
        Config { listen: "127.0.0.1:0".parse()?, log_level: "warn".to_owned(), ..config },
        None,
    )?;
    let address = server.address();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    Ok((address, stop))
}

/// How many the page says are here.
const COUNT: &str = "return String(document.querySelectorAll('[data-presence=person]').length)";

/// The page that this build carries along is the one that people see: over an event stream and over a WebSocket. All
/// else of it is tried by the journeys of `clients/typescript`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tab_over_an_event_stream_and_one_over_a_web_socket_see_each_other() -> Result<()> {
    let (address, _server) = serve(Config { going_away_grace_ms: 300, ..Config::default() })?;
    let browser = Browser::start().await?;
    browser.open(&format!("http://{address}/?room=doc&user=ann&transport=sse")).await?;
    let first = browser.tab().await?;
    browser.until(COUNT, "one is here", |text| text == "1").await?;
    let second = browser.new_tab().await?;
    browser.open(&format!("http://{address}/?room=doc&user=bob&transport=ws")).await?;
    browser.until(COUNT, "two are here", |text| text == "2").await?;
    browser.switch(&first).await?;
    browser.until(COUNT, "the other is seen", |text| text == "2").await?;
    browser.close_tab().await?;
    browser.switch(&second).await?;
    browser.until(COUNT, "one is left", |text| text == "1").await?;
    Ok(())
}
