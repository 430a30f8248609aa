//! The server under test: a process with settings of its own and a folder, which is stopped, killed and started again at the
//! same address.

use std::fs::OpenOptions;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::folder::Folder;
use crate::http;
use crate::server_process::ServerProcess;
use crate::wire::{RoomMessages, RoomPresence};

use super::attendance::Rules;
use super::seat::room_name;

/// Times of the server, short so that a fault can outlast them.
pub const TIMES: Times = Times { heartbeat: 2_500, timeout: 2_000, grace: 5_000, going_away: 3_000 };

/// The server's own, where there are too many clients for short ones.
pub const ROOMY: Times = Times { heartbeat: 25_000, timeout: 10_000, grace: 15_000, going_away: 3_000 };

/// Milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// `heartbeat_ms`.
    pub heartbeat: u64,
    /// `heartbeat_timeout_ms`.
    pub timeout: u64,
    /// `grace_ms`.
    pub grace: u64,
    /// `going_away_grace_ms`.
    pub going_away: u64,
}

impl Times {
    /// How long nothing may come until a client gives its connection up.
    pub const fn silence(&self) -> Duration {
        Duration::from_millis(2 * self.heartbeat + 1_000)
    }

    /// What is judged by.
    pub const fn rules(&self) -> Rules {
        Rules {
            grace: self.grace * 1_000,
            going_away: self.going_away * 1_000,
            detection: (self.heartbeat + self.timeout) * 1_000,
            slack: 2_000_000,
        }
    }
}

/// Settings that all rows share: many clients of one address, and a drain that ends.
const SETTINGS: [(&str, &str); 8] = [
    ("drain-ms", "10000"),
    ("redelivery-ms", "3000"),
    ("connections-per-address-max", "100000"),
    ("connects-per-second", "100000"),
    ("connects-burst", "100000"),
    ("requests-per-second", "100000"),
    ("requests-burst", "100000"),
    ("debug-access", "open"),
];

/// A port outside of those that connections get: a client that tries while the server is down could otherwise be given the
/// server's own port, and be connected to itself.
fn free_port(host: IpAddr) -> Result<SocketAddr> {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 10_000;
    let start = (std::process::id() % u32::from(COUNT)) as u16;
    let ports = (0..COUNT).map(|step| FIRST + (start + step) % COUNT);
    let free =
        ports.map(|port| SocketAddr::new(host, port)).find(|address| TcpListener::bind(address).is_ok());
    free.context("there is no port")
}

/// A server, running or not. Its process and its folder go with the value.
#[derive(Debug)]
pub struct Site {
    binary: PathBuf,
    settings: Vec<String>,
    environment: Vec<(String, String)>,
    folder: Folder,
    /// What it keeps is here.
    pub data: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
    process: Option<ServerProcess>,
    key: Option<String>,
    /// Its times.
    pub times: Times,
}

impl Site {
    /// One that does not run yet.
    ///
    /// # Errors
    /// If there is no folder or no port.
    pub fn new(binary: &Path, times: Times, settings: &[(&str, &str)]) -> Result<Self> {
        let folder = Folder::made()?;
        let data = folder.path().join("data");
        std::fs::create_dir_all(&data)?;
        let address = free_port(Ipv4Addr::LOCALHOST.into())?;
        let mut site = Self {
            binary: binary.to_owned(),
            settings: Vec::new(),
            environment: Vec::new(),
            folder,
            data,
            address,
            process: None,
            key: None,
            times,
        };
        let all = [
            ("heartbeat-ms", times.heartbeat),
            ("heartbeat-timeout-ms", times.timeout),
            ("grace-ms", times.grace),
            ("going-away-grace-ms", times.going_away),
        ];
        all.into_iter().for_each(|(name, millis)| site.set(name, &millis.to_string()));
        SETTINGS.iter().chain(settings).for_each(|(name, value)| site.set(name, value));
        Ok(site)
    }

    /// Gives it another setting.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.extend([format!("--{name}"), value.to_owned()]);
    }

    /// Gives it a variable.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Puts it at another address, where it asks for tokens; the key is its backend's.
    ///
    /// # Errors
    /// If there is no port.
    pub fn be_at(&mut self, host: IpAddr, key: &str) -> Result<()> {
        self.address = free_port(host)?;
        self.key = Some(key.to_owned());
        Ok(())
    }

    /// Its folder, beside what it keeps.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it. Says how long that took.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn start(&mut self) -> Result<Duration> {
        let began = Instant::now();
        let log = OpenOptions::new().create(true).append(true).open(self.folder.path().join("log"))?;
        let mut command = Command::new(&self.binary);
        command
            .args(["--listen", &self.address.to_string(), "--log-level", "warn", "--log-format", "pretty"])
            .arg("--data-dir")
            .arg(&self.data)
            .args(&self.settings)
            .envs(self.environment.iter().cloned())
            .stderr(log);
        let starting = tokio::task::spawn_blocking(move || ServerProcess::spawn(&mut command));
        self.process = Some(starting.await?.with_context(|| self.log_end())?);
        Ok(began.elapsed())
    }

    /// The end of what it logged.
    pub fn log_end(&self) -> String {
        let log = self.folder.read("log").unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    fn running(&self) -> Result<&ServerProcess> {
        self.process.as_ref().context("the server does not run")
    }

    /// Its process.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.running()?.id())
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Sends it a signal, by its name without `SIG`.
    ///
    /// # Errors
    /// If it does not run.
    pub fn signal(&self, name: &str) -> Result<()> {
        self.running()?.signal(name)
    }

    /// Asks it to stop with SIGTERM, and waits for that.
    ///
    /// # Errors
    /// If it does not stop in time.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal("TERM")?;
        let process = self.process.take().context("the server does not run")?;
        process.ended().await
    }

    /// Asks it something over HTTP.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn get(&self, path: &str) -> Result<http::Answer> {
        let key: Vec<(&str, &str)> = self.key.iter().map(|key| ("X-API-Key", key.as_str())).collect();
        http::get(self.address, path, &key).await
    }

    /// Who is in a room, as it says.
    ///
    /// # Errors
    /// If it does not say.
    pub async fn presence(&self, room: u32) -> Result<RoomPresence> {
        self.get(&format!("/v1/rooms/{}/presence", room_name(room))).await?.json()
    }

    /// All messages of a room.
    ///
    /// # Errors
    /// If it does not give them.
    pub async fn messages(&self, room: u32) -> Result<RoomMessages> {
        let mut all = RoomMessages { messages: Vec::new(), more: true };
        while all.more {
            let after = all.messages.last().map_or(0, |last| last.seq);
            let path = format!("/v1/rooms/{}/messages?after={after}&limit=200", room_name(room));
            let answer = self.get(&path).await?;
            if answer.status != 200 {
                bail!("messages of r{room}: {}", answer.body);
            }
            let page: RoomMessages = answer.json()?;
            all.more = page.more;
            all.messages.extend(page.messages);
        }
        Ok(all)
    }

    /// What it found itself that must not be, since it was started.
    ///
    /// # Errors
    /// If it does not say.
    pub async fn findings(&self) -> Result<Vec<(String, f64)>> {
        const NAMES: [&str; 2] = ["presence_invariant_violations_total", "presence_drift_total"];
        let text = self.get("/metrics").await?.body;
        let lines = text.lines().filter(|line| NAMES.iter().any(|name| line.starts_with(name)));
        let numbers = lines.filter_map(|line| line.rsplit_once(' '));
        let numbers = numbers.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
        Ok(numbers.filter(|(_, value)| *value > 0.0).collect())
    }

    /// The value of a metric, by its name with labels.
    ///
    /// # Errors
    /// If there is no such metric.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let text = self.get("/metrics").await?.body;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).with_context(|| format!("the server has no metric {name}"))
    }
}
