//! The binary: reads the configuration, and does with it what it is asked for: to serve, unless said otherwise.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use presence_server::app::StartError;
use presence_server::config::{Asked, Task, read};
use presence_server::{Config, Server, auth, healthcheck, logging, store};
use tokio::signal::unix::{SignalKind, signal};

/// Connections come and go in pieces of a few dozen bytes, of which this one wastes less than the system's
/// (docs/benchmarks.md). Without huge pages, of which a small server would use a part of each.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Failed while running, or is not healthy.
const FAILED: u8 = 1;

/// Bad configuration (EX_USAGE of sysexits.h).
const BAD_CONFIGURATION: u8 = 64;

/// The address can not be listened on (EX_UNAVAILABLE of sysexits.h).
const CANNOT_LISTEN: u8 = 69;

/// The folder for what outlives the process can not be used (EX_CANTCREAT of sysexits.h).
const CANNOT_KEEP: u8 = 73;

fn main() -> ExitCode {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    let asked = match read(std::env::args_os().skip(1), environment) {
        Ok(asked) => asked,
        Err(error) => return failed(&error, BAD_CONFIGURATION),
    };
    let done = match asked {
        Asked::Told(text) => tell(&text),
        Asked::Do(Task::CheckConfig, config) => check(&config),
        Asked::Do(Task::CheckHealth, config) => check_health(&config),
        Asked::Do(Task::BackUp(to), config) => store::cli::back_up(&config, &to).and_then(|said| tell(&said)),
        Asked::Do(Task::CheckStore, config) => store::cli::check(&config).and_then(|said| tell(&said)),
        Asked::Do(Task::Token(asked), config) => match auth::cli::run(&asked, &config) {
            Ok(text) => tell(&text),
            Err(error) => Ok(failed(&format!("{error:#}"), BAD_CONFIGURATION)),
        },
        Asked::Do(Task::Serve, config) => serve(*config),
    };
    done.unwrap_or_else(|error| failed(&format!("{error:#}"), FAILED))
}

fn failed(why: &dyn Display, code: u8) -> ExitCode {
    eprintln!("presence-server: {why}");
    ExitCode::from(code)
}

/// Whoever reads it may stop in the middle (`| head`).
fn tell(text: &str) -> anyhow::Result<ExitCode> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn check(config: &Config) -> anyhow::Result<ExitCode> {
    match Server::check(config) {
        Ok(()) => tell(&format!("# The configuration is good. It is:\n\n{}", config.to_text())),
        Err(error) => Ok(failed(&error, BAD_CONFIGURATION)),
    }
}

fn check_health(config: &Config) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(healthcheck::ask(config))?;
    Ok(ExitCode::SUCCESS)
}

fn serve(config: Config) -> anyhow::Result<ExitCode> {
    logging::start(&config)?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(config.threads).enable_all().build()?;
    let served = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let server = match Server::bind(config, None) {
            Ok(server) => server,
            Err(error) => {
                let code = match error {
                    StartError::Config(_) | StartError::NoTransport | StartError::Tls(_) => BAD_CONFIGURATION,
                    StartError::DataDir { .. } | StartError::Store(_) => CANNOT_KEEP,
                    StartError::Listen { .. } => CANNOT_LISTEN,
                };
                return Ok(failed(&error, code));
            }
        };
        reload_on_hangup(&server)?;
        println!("presence-server is at {}  (open it in two tabs)", server.url());
        let mut signalled =
            async || tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} };
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let mut running = tokio::spawn(server.run(async { stopped.await.unwrap_or_default() }));
        signalled().await;
        let _ = stop.send(());
        // Whoever asks twice does not want to wait.
        tokio::select! {
            ended = &mut running => ended?,
            () = signalled() => {}
        }
        Ok(ExitCode::SUCCESS)
    });
    // Nobody waits for a disk that hangs.
    runtime.shutdown_background();
    served
}

/// Reads the certificate again on SIGHUP. Without TLS that signal ends the server, as it does any program whose terminal
/// is closed.
fn reload_on_hangup(server: &Server) -> anyhow::Result<()> {
    let Some(tls) = server.tls().cloned() else { return Ok(()) };
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            // It has told the log and the metrics already.
            let _ = tls.reload();
        }
    });
    Ok(())
}
