//! The operator's page in a real browser: in with the key, look around, trace a connection, end it.

use anyhow::{Context, Result, ensure};
use presence_server::Config;
use presence_server::config::Secret;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::proxy::Proxy;
use serde_json::json;

use crate::driver::Browser;
use crate::serve;

const KEY: &str = "the key of an operator";

/// A user id that would be markup if it were not text, and the same in a URL.
const HOSTILE: &str = "<img src=x onerror=alert(1)>";
const HOSTILE_IN_URL: &str = "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E";

const STATE: &str = "return document.body.dataset.state";
const USERS: &str = "return [...document.querySelectorAll('#connections-table .user')].map(e => e.textContent).sort().join('|')";
const TRACED: &str = "return [...document.querySelectorAll('#trace-lines tr')].map(e => e.innerText.replace(/\\s+/g, ' ')).join('|')";
const TRACE_STATE: &str = "return document.getElementById('trace-state').textContent";
const MARKUP: &str = "return String(document.querySelectorAll('img').length)";

fn text_of(id: &str) -> String {
    format!("return document.getElementById('{id}').textContent")
}

fn is_open(id: &str) -> String {
    format!("return String(document.getElementById('{id}').open)")
}

/// Clicks what a selector finds.
async fn click(browser: &Browser, selector: &str) -> Result<()> {
    let script = format!("document.querySelector(`{selector}`).click()");
    browser.run(&script).await.map(drop).with_context(|| selector.to_owned())
}

async fn fill(browser: &Browser, id: &str, text: &str) -> Result<()> {
    let script = format!(
        "const field = document.getElementById('{id}'); field.value = {}; \
         field.dispatchEvent(new InputEvent('input', {{bubbles: true}}))",
        json!(text)
    );
    browser.run(&script).await.map(drop)
}

/// Nothing in the console is an error, but what the browser itself says of `expected`.
async fn console_is_quiet(browser: &Browser, expected: Option<&str>) -> Result<()> {
    let told = browser.console().await?;
    let errors = told.iter().filter(|line| line.contains("SEVERE") || line.contains("WARNING"));
    let unexpected: Vec<_> =
        errors.filter(|line| !expected.is_some_and(|expected| line.contains(expected))).collect();
    ensure!(unexpected.is_empty(), "the console says {unexpected:#?}");
    Ok(())
}

/// What a button in the row of a user does; `which` counts from 0.
fn in_row_of(user: &str, which: usize) -> String {
    format!(
        "const row = [...document.querySelectorAll('#connections-table tbody tr')]\
         .find(row => row.querySelector('.user').textContent === {}); \
         row.querySelectorAll('button')[{which}].click()",
        json!(user)
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_comes_in_with_the_key_and_ends_a_connection_that_was_traced() -> Result<()> {
    let (address, _server) = serve(Config { api_key: Secret::new(KEY), ..Config::default() })?;
    let mut ann = Client::enter(Kind::Ws, address, &Credentials::new("ann", "a"), "doc").await?;
    let mut eve = Client::connect(Kind::Sse, address, &Credentials::new(HOSTILE_IN_URL, "e")).await?;
    let user = json!({"id": HOSTILE, "name": "<b>Eve</b>"});
    eve.send(&json!({"type": "presence:join", "room": "doc", "user": user})).await?;
    eve.settle("doc").await?;

    let browser = Browser::start().await?;
    browser.open(&format!("http://{address}/admin")).await?;
    browser.until(&is_open("sign-in"), "the key is asked for", |open| open == "true").await?;
    fill(&browser, "key", "another key").await?;
    click(&browser, "#sign-in button").await?;
    browser.until(&text_of("sign-in-error"), "the wrong key is named", |text| text.contains("wrong")).await?;
    fill(&browser, "key", KEY).await?;
    click(&browser, "#sign-in button").await?;
    browser.until(STATE, "the page is live", |state| state == "live").await?;
    browser.until(&text_of("stat-connections"), "two are counted", |text| text == "2").await?;
    browser.until(USERS, "both are listed, and as text", |users| users == format!("{HOSTILE}|ann")).await?;
    let rooms = "return document.getElementById('rooms-table').innerText";
    browser.until(rooms, "their room is listed", |text| text.contains("doc")).await?;

    click(&browser, "#rooms-table button.link").await?;
    let members = text_of("room-members");
    browser.until(&members, "a name is text", |text| text.contains("<b>Eve</b>")).await?;
    click(&browser, "#room-close").await?;

    browser.run(&in_row_of("ann", 0)).await?;
    browser.until(TRACE_STATE, "the trace is live", |text| text == "Live.").await?;
    ann.send(&json!({"type": "presence:update", "room": "doc", "state": {"x": "canary"}})).await?;
    let line = "received presence:update doc";
    let traced = browser.until(TRACED, "the update is traced", |text| text.contains(line)).await?;
    ensure!(!traced.contains("canary"), "{traced}");

    browser.run(&in_row_of("ann", 1)).await?;
    browser.until(&is_open("kick"), "it is asked whether that is meant", |open| open == "true").await?;
    click(&browser, "#kick-yes").await?;
    browser.until(USERS, "ann is listed no more", |users| users == HOSTILE).await?;
    assert_eq!(ann.closed().await?, Some(4503));
    browser.until(TRACE_STATE, "the trace says why", |text| text.contains("kicked")).await?;
    browser.until(&text_of("stat-connections"), "one is left", |text| text == "1").await?;
    assert_eq!(browser.run(MARKUP).await?, "0");
    // Of a refused request the browser itself tells the console.
    console_is_quiet(&browser, Some("status of 40")).await?;

    click(&browser, "#forget").await?;
    browser.until(STATE, "the operator is out", |state| state == "out").await?;
    let kept = browser.run("return JSON.stringify({...sessionStorage, ...localStorage})").await?;
    assert_eq!(kept, "{}");
    Ok(())
}

/// Where nobody has to prove anything there is nothing to ask for; and a server that is gone is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_needs_no_key_in_dev_mode_and_waits_for_a_server_that_is_gone() -> Result<()> {
    let (address, _server) = serve(Config::default())?;
    let network = Proxy::to(address).await?;
    let _ann = Client::enter(Kind::Ws, address, &Credentials::new("ann", "a"), "doc").await?;
    let browser = Browser::start().await?;
    browser.open(&format!("http://{}/admin", network.address())).await?;
    browser.until(STATE, "the page is live", |state| state == "live").await?;
    browser.until(USERS, "ann is listed", |users| users == "ann").await?;
    let flow = "return document.querySelector('#chart-flow svg').getAttribute('aria-label')";
    browser.until(flow, "the flow is drawn", |text| text.contains("/s")).await?;
    let line = "return document.querySelector('#chart-flow .line').getAttribute('d') ?? ''";
    browser.until(line, "over time", |path| path.contains('L')).await?;
    fill(&browser, "connections-filter", "nobody").await?;
    browser.until(USERS, "a filter leaves nobody", str::is_empty).await?;
    fill(&browser, "connections-filter", "user:ann").await?;
    browser.until(USERS, "the server finds ann", |users| users == "ann").await?;
    console_is_quiet(&browser, None).await?;

    let silence = network.silence();
    browser.until(STATE, "no answer comes", |state| state == "gone").await?;
    browser.until(&text_of("gone-text"), "the page says so", |text| text.contains("not answer")).await?;
    drop(silence);
    click(&browser, "#again").await?;
    browser.until(STATE, "the page is live again", |state| state == "live").await?;
    Ok(())
}
