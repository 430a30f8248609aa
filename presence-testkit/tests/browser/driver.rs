//! A browser, driven by chromedriver: as much of WebDriver (W3C recommendation, 2018) as these tests need.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use presence_testkit::http::send_json;
use serde_json::{Value, json};

/// How long the page may take to show what it should.
const PATIENCE: Duration = Duration::from_secs(20);

/// A browser with a profile of its own, which ends with the value.
#[derive(Debug)]
pub(crate) struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browser only when it is asked to, and this can not wait.
        let quit = format!("DELETE /session/{} HTTP/1.1\r\nHost: {}\r\n\r\n", self.session, self.address);
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            let _ = stream.set_read_timeout(Some(PATIENCE));
            let _ = stream.write_all(quit.as_bytes());
            let _ = stream.read(&mut [0; 64]);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Browser {
    pub(crate) async fn start() -> Result<Self> {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("there is no chromedriver: apt-get install chromium chromium-driver")?;
        let output = driver.stdout.take().context("chromedriver says nothing")?;
        let port = BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse::<u16>().ok()
            })
            .context("chromedriver does not say its port")?;
        let mut browser =
            Self { driver, address: (Ipv4Addr::LOCALHOST, port).into(), session: String::new() };
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": arguments}}}});
        let session = browser.ask("POST", "/session", &wanted).await?;
        browser.session = session["sessionId"].as_str().context("no session")?.to_owned();
        Ok(browser)
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let answer = send_json(self.address, method, path, body).await?;
        let mut answer: Value = answer.json()?;
        let value = answer["value"].take();
        if let Some(error) = value.get("error") {
            bail!("{path}: {error}: {}", value["message"]);
        }
        Ok(value)
    }

    async fn tell(&self, method: &str, what: &str, body: Value) -> Result<Value> {
        self.ask(method, &format!("/session/{}/{what}", self.session), &body).await
    }

    /// Opens an address in this tab; the same one again is a reload.
    pub(crate) async fn open(&self, url: &str) -> Result<()> {
        self.tell("POST", "url", json!({"url": url})).await.map(drop)
    }

    /// Runs a script in this tab.
    pub(crate) async fn run(&self, script: &str) -> Result<Value> {
        self.tell("POST", "execute/sync", json!({"script": script, "args": []})).await
    }

    /// This tab.
    pub(crate) async fn tab(&self) -> Result<String> {
        Ok(self.tell("GET", "window", json!({})).await?.as_str().context("no tab")?.to_owned())
    }

    /// Makes a tab and goes there.
    pub(crate) async fn new_tab(&self) -> Result<String> {
        let tab = self.tell("POST", "window/new", json!({"type": "tab"})).await?;
        let tab = tab["handle"].as_str().context("no tab")?.to_owned();
        self.switch(&tab).await?;
        Ok(tab)
    }

    /// Goes to a tab.
    pub(crate) async fn switch(&self, tab: &str) -> Result<()> {
        self.tell("POST", "window", json!({"handle": tab})).await.map(drop)
    }

    /// Closes this tab; go to another one afterwards.
    pub(crate) async fn close_tab(&self) -> Result<()> {
        self.tell("DELETE", "window", json!({})).await.map(drop)
    }

    /// Looks until what a script gives is as `wanted`; `what` names that. Gives it.
    pub(crate) async fn until(
        &self,
        script: &str,
        what: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let mut last = String::new();
        let looking = async {
            loop {
                last = self.run(script).await?.as_str().unwrap_or_default().to_owned();
                if wanted(&last) {
                    return anyhow::Ok(());
                }
            }
        };
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(looked) => looked.map(|()| last),
            Err(_) => bail!("not so in time: {what}; it is {last:?}"),
        }
    }
}
