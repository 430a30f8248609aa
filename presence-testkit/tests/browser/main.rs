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

const COUNT: &str = "return document.getElementById('count').textContent";
const LOG: &str = "return document.getElementById('log').innerText";
const TYPING: &str = "return document.getElementById('typing').textContent";
const STATE: &str = "return document.body.dataset.state";
const ROUND_TRIP: &str = "return document.getElementById('rtt').textContent";
const POINTERS: &str = "return String(document.querySelectorAll('.cursor').length)";
const TYPE: &str = "const note = document.getElementById('note'); note.value = 'x'; \
                    note.dispatchEvent(new InputEvent('input', {bubbles: true}))";
const POINT: &str = "document.getElementById('stage').dispatchEvent(\
                     new PointerEvent('pointermove', {clientX: 200, clientY: 200, bubbles: true}))";

/// Two tabs see each other at once, with pointers and typing; a reload shows nothing; closing one shows the leave.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tabs_see_each_other_and_a_reload_shows_nothing() -> Result<()> {
    let (address, _server) =
        serve(Config { going_away_grace_ms: 1_500, typing_ms: 600_000, ..Config::default() })?;
    let url = format!("http://{address}/?room=doc");
    let browser = Browser::start().await?;
    browser.open(&url).await?;
    let first = browser.tab().await?;
    browser.until(COUNT, "one is here", |text| text == "1").await?;
    let second = browser.new_tab().await?;
    browser.open(&url).await?;
    browser.until(COUNT, "two are here", |text| text == "2").await?;
    browser.until(ROUND_TRIP, "the round trip is shown", |text| text.ends_with("ms")).await?;
    browser.run(TYPE).await?;
    browser.run(POINT).await?;

    browser.switch(&first).await?;
    browser.until(COUNT, "the other is seen", |text| text == "2").await?;
    browser.until(LOG, "its coming is told", |text| text.contains("came in")).await?;
    browser.until(TYPING, "its typing is seen", |text| text.contains("typing")).await?;
    browser.until(POINTERS, "its pointer is seen", |text| text == "1").await?;

    browser.switch(&second).await?;
    browser.open(&url).await?;
    browser.until(COUNT, "two are here after the reload", |text| text == "2").await?;
    // A third tab comes and goes: when its leave is told, that of the reload would have been.
    let third = browser.new_tab().await?;
    browser.open(&format!("{url}&as=Third")).await?;
    browser.until(COUNT, "three are here", |text| text == "3").await?;
    browser.close_tab().await?;
    drop(third);
    browser.switch(&first).await?;
    let log = browser.until(LOG, "the third has left", |text| text.contains("Third left")).await?;
    assert_eq!(log.matches("left").count(), 1, "the reload was seen: {log}");

    browser.switch(&second).await?;
    browser.close_tab().await?;
    browser.switch(&first).await?;
    browser.until(COUNT, "one is left", |text| text == "1").await?;
    Ok(())
}

/// A page that has to do without WebSockets sees what the others see, and is seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tab_over_an_event_stream_and_one_over_a_web_socket_see_each_other() -> Result<()> {
    let (address, _server) =
        serve(Config { going_away_grace_ms: 300, typing_ms: 600_000, ..Config::default() })?;
    let browser = Browser::start().await?;
    browser.open(&format!("http://{address}/?room=doc&via=sse")).await?;
    let first = browser.tab().await?;
    browser.until(COUNT, "one is here", |text| text == "1").await?;
    browser.until(ROUND_TRIP, "the round trip is shown", |text| text.ends_with("ms")).await?;
    let second = browser.new_tab().await?;
    browser.open(&format!("http://{address}/?room=doc&via=ws")).await?;
    browser.until(COUNT, "two are here", |text| text == "2").await?;
    browser.switch(&first).await?;
    browser.until(COUNT, "the other is seen", |text| text == "2").await?;
    browser.run(TYPE).await?;
    browser.run(POINT).await?;
    browser.switch(&second).await?;
    browser.until(TYPING, "its typing is seen", |text| text.contains("typing")).await?;
    browser.until(POINTERS, "its pointer is seen", |text| text == "1").await?;
    browser.switch(&first).await?;
    browser.close_tab().await?;
    browser.switch(&second).await?;
    browser.until(COUNT, "one is left", |text| text == "1").await?;
    Ok(())
}

/// A page that loses its server says so, and is back by itself when the server is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_comes_back_by_itself_when_its_server_does() -> Result<()> {
    let (address, server) = serve(Config::default())?;
    let browser = Browser::start().await?;
    browser.open(&format!("http://{address}/?room=doc")).await?;
    browser.until(STATE, "the page is live", |state| state == "live").await?;
    drop(server);
    browser.until(STATE, "the page waits", |state| state == "waiting").await?;
    // The port may be taken for a moment by what is left of the old connections.
    let _server = loop {
        match Server::bind(Config { listen: address, ..Config::default() }, None) {
            Ok(server) => break tokio::spawn(server.run(std::future::pending())),
            Err(_) => tokio::task::yield_now().await,
        }
    };
    browser.until(STATE, "the page is live again", |state| state == "live").await?;
    browser.until(COUNT, "it is in its room", |text| text == "1").await?;
    Ok(())
}
