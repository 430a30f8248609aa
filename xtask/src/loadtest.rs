//! `cargo xtask loadtest`: a release server and the simulated clients, each a process of its own; a table, JSON and a page
//! with plots. All that measures is in `presence-load`; this only puts the two beside each other.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::cargo::cargo;
use crate::metadata::Metadata;

/// What runs when nothing is named: the scenario, its numbers, and the server's settings if not the defaults. What stands
/// behind a `-` in its name says which variant of it this is.
const SUITE: [(&str, &[&str], &[&str]); 12] = [
    ("fanout", &[], &[]),
    ("idle", &[], &[]),
    ("idle-sse", &[], &[]),
    ("churn", &[], &[]),
    ("bigroom", &["--members", "1000", "--rate", "10", "--updates", "10", "--seconds", "15"], &[]),
    ("crowd", &[], &[]),
    ("bigchurn", &[], &[]),
    ("storm", &[], &[]),
    // A small feed, so that who stops reading falls off it within the test.
    ("slow", &[], SMALL_FEED),
    ("messages", &[], &[]),
    ("rename", &[], &[]),
    // The attackers come from 127.0.0.2, which is to be an address like any other.
    ("attack", &[], ONE_FRIEND),
];

/// What runs only when it is named: it asks for the whole machine, so that it says something only while nothing else runs.
const SPEED: [(&str, &[&str], &[&str]); 8] = [
    ("unbatched", &[], NO_TICKS),
    ("unbatched-50", &["--rooms", "20", "--members", "50", "--rate", "60"], NO_TICKS),
    ("unbatched-1000", &["--members", "1000", "--rate", "50"], NO_TICKS),
    ("cursors", &[], SLOW_TICKS),
    ("acks", &[], &[]),
    ("acks-disk", &[], &[]),
    ("restart", &[], &["--token-secret", "for-load-tests-for-load-tests-32"]),
    ("snapshot", &[], &[]),
];

const NO_TICKS: &[&str] = &["--tick-ms", "0", "--large-room-tick-ms", "0"];

/// As often as everybody moves.
const SLOW_TICKS: &[&str] = &["--tick-ms", "50"];

/// Behind the name of a scenario: clients are connected by event streams.
const OVER_SSE: &str = "sse";

/// The scenario that several servers can be measured with at once.
const IDLE: &str = "idle";

/// What runs only when it is named: it takes long. Its server holds little of what is said, so that it is full early.
const LONG: (&str, &[&str], &[&str]) =
    ("soak", &[], &["--stream-messages-max", "1000", "--dedup-ids-max", "5000"]);

/// The scenarios whose servers keep what is said.
const KEEP: [&str; 3] = ["messages", "acks-disk", LONG.0];

const SMALL_FEED: &[&str] = &["--feed-bytes-max", "262144"];

const ONE_FRIEND: &[&str] = &["--trusted-proxies", "127.0.0.1"];

const HELP: &str = "\
cargo xtask loadtest [SCENARIO] [NUMBERS…] [--url HOST:PORT] [--servers N] [--times N] [--no-build]

Without a scenario all of them run, with their defaults: fanout idle idle-sse churn bigroom crowd
bigchurn storm slow messages rename attack.
How fast it is say unbatched unbatched-50 unbatched-1000 cursors acks acks-disk restart snapshot; each runs only
when it is named, for it needs the machine for itself.
`soak` runs only when it is named: everything at once, for two hours if --minutes does not say otherwise.
`messages` keeps what is said in a folder of its own; with --kill the server is killed meanwhile and started
again, at a moment that --seed says.
Clients are connected by WebSocket; with -sse behind its name (fanout-sse) a scenario runs over event streams.
`cargo xtask loadtest fanout --help` shows the numbers of one.
With --url a server that runs already is used, and what it costs is not measured.
With --servers N `idle` runs N times at once, each with a server and clients of its own: more members than one
process may have descriptors for.
With --times N each scenario runs N times, and the outcome is the median of each number.
Outcomes go to reports/: one JSON file each, and report.html.
`plots` draws docs/plots from all outcomes that are there.
";

/// How long a server may take to listen.
const STARTING: Duration = Duration::from_secs(10);

/// Runs what was asked for.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let mut numbers = arguments.to_vec();
    let url = take_value(&mut numbers, "--url")?;
    let count = |value: Option<String>| value.map_or(Ok(1), |count| count.parse::<usize>());
    let servers = count(take_value(&mut numbers, "--servers")?).context("--servers wants a number")?;
    let times = count(take_value(&mut numbers, "--times")?).context("--times wants a number")?;
    let build = !take(&mut numbers, "--no-build");
    let scenario = numbers.first().filter(|first| !first.starts_with('-')).cloned();
    let helps = take(&mut numbers, "--help") | take(&mut numbers, "-h");
    if scenario.is_none() && helps {
        print!("{HELP}");
        return Ok(());
    }
    let root = Metadata::read()?.workspace_root;
    if let Some(name) = scenario.as_deref().filter(|_| helps) {
        return numbers_of(&root, name);
    }
    let binaries = if build { build_release(&root)? } else { release_folder(&root) };
    let reports = root.join("reports");
    fs::create_dir_all(&reports)?;
    if scenario.as_deref() == Some("plots") {
        return plots(&root, &binaries, &reports);
    }
    let chosen: Vec<(String, Vec<String>, &[&str])> = match scenario {
        Some(name) => {
            let known = SUITE.iter().chain(&SPEED).chain([&LONG]).find(|(known, ..)| *known == name);
            // The numbers of the suite, and after them those that were given.
            let mut all: Vec<String> =
                known.map_or(&[][..], |suite| suite.1).iter().map(|n| (*n).to_owned()).collect();
            all.extend_from_slice(&numbers[1..]);
            vec![(name, all, known.map_or(&[][..], |suite| suite.2))]
        }
        None => {
            ensure!(numbers.is_empty(), "{} means nothing without a scenario\n\n{HELP}", numbers.join(" "));
            let owned = |numbers: &[&str]| numbers.iter().map(|number| (*number).to_owned()).collect();
            SUITE
                .iter()
                .map(|(name, numbers, settings)| ((*name).to_owned(), owned(numbers), *settings))
                .collect()
        }
    };
    let began = Instant::now();
    let (mut outcomes, mut bad) = (Vec::new(), Vec::new());
    for (name, numbers, settings) in chosen {
        eprintln!("── {name} {}", numbers.join(" "));
        ensure!(servers == 1 || name.starts_with(IDLE), "--servers is for {IDLE}");
        let files: Vec<PathBuf> = match servers {
            0 | 1 => vec![reports.join(format!("{name}.json"))],
            _ => (1..=servers).map(|number| reports.join(format!("{name}-{number}.json"))).collect(),
        };
        let run = |file: &Path| one(&binaries, &name, &numbers, settings, url.as_deref(), file);
        if !beside_each_other(&files, |file| repeatedly(&binaries, times, file, run))? {
            bad.push(name);
        }
        outcomes.extend(files);
    }
    outcomes.retain(|outcome| outcome.exists());
    let page = reports.join("report.html");
    if !outcomes.is_empty() {
        let load = binaries.join("presence-load");
        let status = Command::new(load).arg("report").arg("--html").arg(&page).args(&outcomes).status()?;
        ensure!(status.success(), "the report could not be made");
        println!("\n{} s in all; the report is {}", began.elapsed().as_secs(), page.display());
    }
    ensure!(bad.is_empty(), "something was lost, or failed, in: {}", bad.join(", "));
    Ok(())
}

/// Runs a scenario once for each file that an outcome goes to, all at the same time. Says whether nothing was lost in any.
fn beside_each_other(files: &[PathBuf], run: impl Fn(&Path) -> Result<bool> + Sync) -> Result<bool> {
    std::thread::scope(|scope| {
        let runs: Vec<_> = files.iter().map(|file| scope.spawn(|| run(file))).collect();
        let mut good = true;
        for run in runs {
            good &= run.join().map_err(|_| anyhow!("a run has panicked"))??;
        }
        Ok(good)
    })
}

/// Runs a scenario so many times, and makes one outcome of them.
fn repeatedly(
    binaries: &Path,
    times: usize,
    outcome: &Path,
    run: impl Fn(&Path) -> Result<bool>,
) -> Result<bool> {
    if times <= 1 {
        return run(outcome);
    }
    let folder = outcome.with_extension("runs");
    fs::create_dir_all(&folder)?;
    let runs: Vec<PathBuf> = (1..=times).map(|number| folder.join(format!("{number}.json"))).collect();
    for file in &runs {
        run(file)?;
    }
    let load = binaries.join("presence-load");
    let status = Command::new(load).arg("median").arg("--out").arg(outcome).args(&runs).status()?;
    Ok(status.success())
}

/// Draws the plots of the docs.
fn plots(root: &Path, binaries: &Path, reports: &Path) -> Result<()> {
    let mut outcomes = Vec::new();
    for file in fs::read_dir(reports)? {
        outcomes.push(file?.path());
    }
    outcomes.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    outcomes.sort();
    let mut command = Command::new(binaries.join("presence-load"));
    command.arg("plots").arg("--folder").arg(root.join("docs/plots")).args(outcomes);
    ensure!(command.status()?.success(), "the plots could not be drawn");
    Ok(())
}

fn take(arguments: &mut Vec<String>, flag: &str) -> bool {
    let before = arguments.len();
    arguments.retain(|argument| argument != flag);
    arguments.len() < before
}

fn take_value(arguments: &mut Vec<String>, flag: &str) -> Result<Option<String>> {
    let Some(at) = arguments.iter().position(|argument| argument == flag) else { return Ok(None) };
    ensure!(at + 1 < arguments.len(), "{flag} wants a value");
    let value = arguments.remove(at + 1);
    arguments.remove(at);
    Ok(Some(value.trim_start_matches("http://").trim_end_matches('/').to_owned()))
}

fn release_folder(root: &Path) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join("release")
}

/// Shows which numbers a scenario has. What is not to be measured needs no release build.
fn numbers_of(root: &Path, scenario: &str) -> Result<()> {
    let (scenario, _) = scenario.split_once('-').unwrap_or((scenario, ""));
    let status = cargo()
        .args(["run", "--quiet", "--locked", "--package", "presence-testkit", "--bin", "presence-load", "--"])
        .args([scenario, "--help"])
        .current_dir(root)
        .status()?;
    ensure!(status.success(), "there is no help for {scenario}");
    Ok(())
}

fn build_release(root: &Path) -> Result<PathBuf> {
    eprintln!("── building the server and the clients");
    let status = cargo()
        .args(["build", "--release", "--locked", "--bin", "presence-server", "--bin", "presence-load"])
        .args(["--package", "presence-server", "--package", "presence-testkit"])
        .current_dir(root)
        .status()?;
    ensure!(status.success(), "the release build failed");
    Ok(release_folder(root))
}

/// Runs one scenario. Says whether nothing was lost.
fn one(
    binaries: &Path,
    name: &str,
    numbers: &[String],
    settings: &[&str],
    url: Option<&str>,
    outcome: &Path,
) -> Result<bool> {
    let load = binaries.join("presence-load");
    let (scenario, variant) = name.split_once('-').unwrap_or((name, ""));
    let transport = if variant == OVER_SSE { OVER_SSE } else { "ws" };
    let server = match url {
        Some(_) => None,
        None => Some(Server::start(&binaries.join("presence-server"), KEEP.contains(&name), settings)?),
    };
    let mut command = Command::new(load);
    match (&server, url) {
        (Some(server), _) => {
            command.args([
                "--server",
                &server.address.to_string(),
                "--pid",
                &server.process.id().to_string(),
            ]);
        }
        (None, url) => {
            command.args(["--server", url.unwrap_or_default()]);
        }
    }
    // An old outcome must not be taken for a new one.
    let _ = fs::remove_file(outcome);
    command.args(["--transport", transport, "--json"]).arg(outcome).arg(scenario).args(numbers);
    let mut clients = command.spawn().context("cannot run presence-load")?;
    let Some(mut server) = server else { return Ok(clients.wait()?.success()) };
    loop {
        if let Some(status) = clients.try_wait()? {
            return Ok(status.success());
        }
        // The clients may have killed it; they wait for it.
        if server.process.try_wait()?.is_some() {
            let began = Instant::now();
            server.start_again()?;
            eprintln!("── the server is back after {} ms", began.elapsed().as_millis());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A server in a process of its own, which ends with the value.
struct Server {
    process: Child,
    address: SocketAddr,
    binary: PathBuf,
    settings: Vec<String>,
    /// For what it keeps.
    folder: Option<PathBuf>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has no clients any more, and nothing to keep.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

impl Server {
    fn start(binary: &Path, keeps: bool, settings: &[&str]) -> Result<Self> {
        // A port that was free a moment ago is most likely still free.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let folder =
            keeps.then(|| std::env::temp_dir().join(format!("presence-load-{}", std::process::id())));
        if let Some(folder) = &folder {
            fs::create_dir_all(folder)?;
            settings.extend(["--data-dir".to_owned(), folder.display().to_string()]);
        }
        let process = spawn(binary, address, &settings)?;
        let mut server = Self { process, address, binary: binary.to_owned(), settings, folder };
        server.wait()?;
        Ok(server)
    }

    fn start_again(&mut self) -> Result<()> {
        self.process = spawn(&self.binary, self.address, &self.settings)?;
        self.wait()
    }

    fn wait(&mut self) -> Result<()> {
        let began = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.process.try_wait()? {
                bail!("the server ended with {status}");
            }
            ensure!(began.elapsed() < STARTING, "the server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

fn spawn(binary: &Path, address: SocketAddr, settings: &[String]) -> Result<Child> {
    Command::new(binary)
        .args(["--listen", &address.to_string(), "--log-level", "warn"])
        .args(settings)
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {}", binary.display()))
}
